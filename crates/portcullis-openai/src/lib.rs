//! OpenAI wire types and the pure translation to and from turns.
