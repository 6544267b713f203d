//! What the database says, as what a caller can act on.

use portcullis_store::StoreError;
use sqlx::error::DatabaseError;

/// Turns an error of a query into what a caller can act on.
pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(said) => match meaning(said.as_ref()) {
            Meaning::Full => StoreError::Full,
            Meaning::Corrupt => StoreError::Corrupt { what: said.message().to_owned() },
            Meaning::Other => StoreError::Unavailable { source: error.into() },
        },
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::TypeNotFound { .. } => StoreError::Corrupt { what: error.to_string() },
        _ => StoreError::Unavailable { source: error.into() },
    }
}

/// The same for a query that gives out an id.
pub(crate) fn insert_error(error: sqlx::Error, id: &str) -> StoreError {
    match &error {
        sqlx::Error::Database(said) if said.is_unique_violation() => StoreError::Taken { id: id.to_owned() },
        _ => store_error(error),
    }
}

#[derive(Debug, Eq, PartialEq)]
enum Meaning {
    Full,
    Corrupt,
    Other,
}

fn meaning(error: &dyn DatabaseError) -> Meaning {
    error.code().map_or(Meaning::Other, |code| meaning_of(&code))
}

/// PostgreSQL's codes have five characters, SQLite's are shorter numbers whose last byte is the kind.
fn meaning_of(code: &str) -> Meaning {
    if code.len() == 5 {
        return match code {
            "53100" => Meaning::Full,
            _ if code.starts_with("XX") => Meaning::Corrupt,
            _ => Meaning::Other,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(13) => Meaning::Full,
        Ok(11 | 26) => Meaning::Corrupt,
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_are_understood() {
        let table = [
            ("13", Meaning::Full),
            ("53100", Meaning::Full),
            ("11", Meaning::Corrupt),
            ("779", Meaning::Corrupt),
            ("26", Meaning::Corrupt),
            ("XX001", Meaning::Corrupt),
            ("5", Meaning::Other),
            ("2067", Meaning::Other),
            ("8458", Meaning::Other),
            ("57P01", Meaning::Other),
            ("", Meaning::Other),
        ];
        for (code, meaning) in table {
            assert_eq!(meaning_of(code), meaning, "{code}");
        }
    }
}
