//! Version and commit of the running binary. Used by health, telemetry and the OpenAPI document.

/// Version and commit of the running binary.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// Version of the workspace.
    pub version: &'static str,
    /// Commit of the build; `unknown` if `GX_BUILD_COMMIT` was not set at build time.
    pub commit: &'static str,
}

/// The running build.
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
