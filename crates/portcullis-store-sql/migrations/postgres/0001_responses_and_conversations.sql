-- Times are microseconds since 1970. `bytes` is the size of all texts of a response or conversation.

CREATE TABLE responses (
    pk BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    principal TEXT NOT NULL,
    created BIGINT NOT NULL,
    -- NULL while the status is queued or in_progress.
    finished BIGINT,
    status TEXT NOT NULL,
    background BIGINT NOT NULL,
    -- No foreign key: a response outlives the one before it.
    previous TEXT,
    conversation TEXT,
    bytes BIGINT NOT NULL,
    body TEXT NOT NULL
);

-- Carries `bytes` so that the size of the store is the sum over an index, not over the bodies.
CREATE INDEX responses_by_age ON responses (finished, pk, bytes);

CREATE TABLE response_items (
    response BIGINT NOT NULL REFERENCES responses (pk) ON DELETE CASCADE,
    -- 0 is input, 1 is output.
    kind BIGINT NOT NULL,
    position BIGINT NOT NULL,
    item_id TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (response, kind, position)
);

CREATE TABLE response_events (
    response BIGINT NOT NULL REFERENCES responses (pk) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (response, sequence)
);

CREATE TABLE conversations (
    pk BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    principal TEXT NOT NULL,
    created BIGINT NOT NULL,
    next_position BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    metadata TEXT NOT NULL
);

CREATE TABLE conversation_items (
    conversation BIGINT NOT NULL REFERENCES conversations (pk) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    item_id TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (conversation, position),
    UNIQUE (conversation, item_id)
);
