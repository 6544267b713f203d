-- What was used. A day is a date in UTC, such as 2026-11-28.

CREATE TABLE ledger (
    day TEXT NOT NULL,
    principal TEXT NOT NULL,
    model TEXT NOT NULL,
    turns BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unreported BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cached_input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    pictures BIGINT NOT NULL,
    PRIMARY KEY (day, principal, model)
);
