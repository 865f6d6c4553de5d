//! What a place allows, found by trying in throw-away children.
