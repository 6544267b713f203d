//! Who is calling and what they may do: API keys, stored as hashes.
