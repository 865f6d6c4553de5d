//! What lies in `/dev`, however a rung makes it (Documentation/admin-guide/devices.txt).

/// Character devices that are as harmless as a pipe, by name, major and minor.
pub(super) const HARMLESS: [(&str, u32, u32); 5] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)];
/// The terminal that controls a process. A command has none, as it is leader of a session of its own; a supervisor may have one.
pub(super) const TERMINAL: (&str, u32, u32) = ("tty", 5, 0);
/// Links to what a process has open ("Compulsory links").
pub(super) const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// All devices that every program may expect.
pub(super) fn all() -> impl Iterator<Item = (&'static str, u32, u32)> {
    HARMLESS.into_iter().chain([TERMINAL])
}

/// The name of a harmless one.
pub(super) fn harmless(major: u32, minor: u32) -> Option<&'static str> {
    HARMLESS.iter().find(|device| (device.1, device.2) == (major, minor)).map(|device| device.0)
}
