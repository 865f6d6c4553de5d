//! Process trees: leftovers of a command are found and killed.
