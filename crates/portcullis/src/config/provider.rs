//! `[provider]`: which keys belong to which kind.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use super::build::Rules;
use super::given::dotted;
use super::keys::custom_only;
use super::meaning::ProviderKind;
use super::reader::Reader;
use super::{BaseUrl, CustomProvider, Place, Problem, Provider};

/// Reads `[provider]`.
pub(super) fn provider(reader: &mut Reader, rules: Rules) -> Provider {
    let place = reader.place(&["provider.kind"]).unwrap_or(Place::Default);
    let kind = reader.optional::<ProviderKind>("provider.kind");
    if kind == Some(ProviderKind::Custom) {
        return Provider::Custom(Box::new(custom(reader, &place, rules)));
    }
    for (key, given_at) in reader.take(custom_only) {
        // A stronger layer may choose another kind for once, say with `--provider lab`, and leave a good file alone.
        let overruled = place.strength() > given_at.strength();
        if let (Some(kind), false, Rules::Check) = (kind, overruled, rules) {
            let problem = Problem::of_key(given_at, key, "is only for `provider.kind` = \"custom\"");
            reader.problem(problem.hint(format!("the kind is \"{}\" ({})", kind.as_str(), place.origin())));
        }
    }
    if kind == Some(ProviderKind::Lab) { Provider::Lab } else { Provider::OpenAi }
}

fn custom(reader: &mut Reader, kind_place: &Place, rules: Rules) -> CustomProvider {
    let name = reader.value("provider.name");
    let missing = reader.place(&["provider.base_url"]).is_none();
    let base_url = reader.optional("provider.base_url");
    if missing && rules == Rules::Check {
        let what = "is missing, `provider.kind` = \"custom\" needs it";
        let problem = Problem::of_key(kind_place.clone(), "provider.base_url", what);
        reader.problem(problem.hint("such as `base_url = \"http://127.0.0.1:8000/v1\"`"));
    }
    CustomProvider {
        name,
        base_url: base_url.unwrap_or(BaseUrl(String::new())),
        requires_openai_auth: reader.value("provider.requires_openai_auth"),
        key_file: reader.optional("provider.key_file"),
        supports_websockets: reader.value("provider.supports_websockets"),
        request_max_retries: reader.optional("provider.request_max_retries"),
        stream_max_retries: reader.optional("provider.stream_max_retries"),
        stream_idle_timeout: reader.optional("provider.stream_idle_timeout"),
        http_headers: free_texts(reader, ["provider", "http_headers"], is_header),
        query_params: free_texts(reader, ["provider", "query_params"], |name, _| !name.is_empty()),
    }
}

/// A table whose names are the user's own.
pub(super) fn free_texts(
    reader: &mut Reader,
    [section, table]: [&str; 2],
    allowed: fn(&str, &SecretString) -> bool,
) -> BTreeMap<String, SecretString> {
    let mut texts = BTreeMap::new();
    for name in reader.names_below(&[section, table]) {
        let place = reader.place(&[section, table, &name]).unwrap_or(Place::Default);
        let path = [section.to_owned(), table.to_owned(), name.clone()];
        if let Some(text) = reader.at(&path) {
            if !allowed(&name, &text) {
                reader.problem(Problem::of_key(
                    place,
                    dotted(&path),
                    "is not allowed here as a name and value",
                ));
            }
            texts.insert(name, text);
        }
    }
    texts
}

/// Whether a header may be called so and hold this.
pub(super) fn is_header(name: &str, value: &SecretString) -> bool {
    name.parse::<http::HeaderName>().is_ok() && value.expose_secret().parse::<http::HeaderValue>().is_ok()
}
