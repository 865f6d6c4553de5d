//! What the command line says of caches.

use steprun_ports::{Failure, Host, ImageArgument, Parameter, RegistryAccess, Timestamp, ValueKind};

/// The options. Names are Kaniko's where the meaning is the same.
pub(crate) const OPTIONS: &[Parameter] = &[
    Parameter::flag("cache", "Keep results in a repository, too: that of `--cache-repo`, or the first destination's"),
    Parameter::option(
        "cache-repo",
        ValueKind::Repository(RegistryAccess::Push),
        "REPOSITORY",
        "Keep results in this repository, too",
    ),
    Parameter::option(
        "cache-from",
        ValueKind::Repository(RegistryAccess::Pull),
        "REPOSITORY",
        "Take results from this repository, and put none there",
    )
    .repeated(),
    Parameter::flag("no-push-cache", "Take results from `--cache-repo` and put none there"),
    Parameter::option(
        "cache-run-layers",
        ValueKind::Choice(&["true", "false"]),
        "BOOL",
        "Whether results of RUN are taken from caches",
    )
    .default("true"),
    Parameter::flag(
        "cache-reads",
        "Take the result of a RUN, too, where all that has changed before it is what it never read; what it reads is recorded in the sandbox of `--isolation supervised`",
    ),
    Parameter::option("cache-ttl", ValueKind::Time, "TIME", "Take no result from the store that is older: `336h`"),
    Parameter::flag("no-cache", "Do everything again, and keep the results"),
    Parameter::flag("explain-cache", "Say of each instruction that is not in the cache what has changed since it was"),
];

/// What the caller wants of caches.
pub(crate) struct Caching<H: Host> {
    /// Results of earlier builds may be used.
    pub(crate) reads: bool,
    /// Those of RUN, too.
    pub(crate) commands: bool,
    /// Those of RUN whatever has changed before it that it doesn't read.
    pub(crate) by_reads: bool,
    /// Results of this build go to the repository.
    pub(crate) writes: bool,
    /// Misses are explained.
    pub(crate) explains: bool,
    /// Results in the store must not be older.
    pub(crate) not_before: Option<Timestamp>,
    /// The repository that results go to and come from.
    pub(crate) export: Option<H::Repository>,
    /// Others that they come from.
    pub(crate) import: Vec<H::Repository>,
}

impl<H: Host> Caching<H> {
    /// Reads the options; without a repository of its own the cache is beside the first of `destinations`.
    ///
    /// # Errors
    /// A usage failure where a cache is wanted in a repository and none is named.
    pub(crate) fn read(host: &H, destinations: &[ImageArgument<H::Repository>]) -> Result<Self, Failure> {
        let named = host.repositories("cache-repo").into_iter().next_back();
        let beside = || destinations.first().map(|destination| destination.repository.clone());
        let wanted = host.flag("cache");
        let export = if wanted { named.or_else(beside) } else { named };
        if wanted && export.is_none() {
            return Err(Failure::usage("nothing says which repository the cache is in").hint(
                "add `--cache-repo REPOSITORY`: without it the cache is beside the image, and no destination is pushed to",
            ));
        }
        Ok(Self {
            reads: !host.flag("no-cache"),
            commands: host.texts("cache-run-layers").last().is_none_or(|given| given == "true"),
            by_reads: host.flag("cache-reads"),
            writes: !host.flag("no-push-cache"),
            explains: host.flag("explain-cache"),
            not_before: host.times("cache-ttl").into_iter().next_back(),
            export,
            import: host.repositories("cache-from"),
        })
    }
}
