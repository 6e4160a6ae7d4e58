//! Which build this is.

/// Version and commit of the running binary.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// The workspace's version.
    pub version: &'static str,
    /// The commit it was built from, `unknown` when the build did not say.
    pub commit: &'static str,
}

/// This build. The commit is what `GX_BUILD_COMMIT` said when it was compiled.
pub const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: match option_env!("GX_BUILD_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
};

impl std::fmt::Display for BuildInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}", self.version, self.commit)
    }
}
