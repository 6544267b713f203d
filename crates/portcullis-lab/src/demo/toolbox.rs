//! Which of the offered tools the user talks about.

use serde_json::Value;

/// Shorter parts of a name (`get`, `set`, `run`) are in too many sentences to mean the tool.
const MIN_WORD: usize = 4;

/// The first tool whose name, or a longer word of it, is a word of the text.
pub(super) fn mentioned<'a>(tools: &[&'a Value], text: &str) -> Option<&'a Value> {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').collect();
    let says = |wanted: &str| words.contains(&wanted);
    let called = |tool: &&&'a Value| tool["name"].as_str().is_some_and(|name| says(&name.to_lowercase()));
    let hinted = |tool: &&&'a Value| {
        let parts = words_of(tool["name"].as_str().unwrap_or_default());
        parts.iter().any(|part| part.chars().count() >= MIN_WORD && says(part))
    };
    tools.iter().find(called).or_else(|| tools.iter().find(hinted)).copied()
}

/// `get_weather`, `getWeather` and `get-weather` have the words `get` and `weather`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tools_are_found_by_name_or_word() {
        let tools = [json!({"name": "get_weather"}), json!({"name": "sendMail"}), json!({"name": "add"})];
        let tools: Vec<&Value> = tools.iter().collect();
        let cases = [
            ("How is the Weather in Oslo?", Some("get_weather")),
            ("call get_weather", Some("get_weather")),
            ("send a letter", Some("sendMail")),
            ("use sendmail, not weather", Some("sendMail")),
            ("please add two numbers", Some("add")),
            ("get me an address", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = mentioned(&tools, text).and_then(|tool| tool["name"].as_str());
            assert_eq!(found, expected, "{text}");
        }
    }
}
