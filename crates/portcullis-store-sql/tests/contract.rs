//! The suite of `portcullis-store` against both databases.

mod support;

mod sqlite {
    portcullis_store::contract_tests!(crate::support::sqlite);
}

mod postgres {
    portcullis_store::contract_tests!(crate::support::postgres);
}
