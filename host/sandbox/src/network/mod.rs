//! What a command reaches of the network: nothing, some hosts through a proxy, all.
