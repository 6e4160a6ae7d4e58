//! The child process that draws can do nothing else, and what happens to it is a clear error.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use gx_documents::testing::passport;
use gx_documents::{FileFormat, FileLimits, RenderProgram, Renderer, ViewError, ViewSettings};

use crate::world::{pieces, renderer, watermark};

fn settings(processes: u16, timeout: Duration) -> ViewSettings {
    ViewSettings { render_processes: processes, render_timeout: timeout }
}

/// Returns a renderer that starts a program that is not ours.
fn foreign(arguments: &[&str], timeout: Duration) -> Renderer {
    let program = RenderProgram {
        program: PathBuf::from("/bin/sh"),
        arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
    };
    Renderer::new(program, &settings(1, timeout), FileLimits::default())
}

/// FILE-03: the process that draws has neither files nor network and starts no process.
#[tokio::test]
async fn file_03_the_child_process_has_neither_files_nor_network() {
    let renderer = renderer(Duration::from_mins(1), FileLimits::default());
    let found = renderer.probe().await.unwrap();
    assert!(found.is_tight(), "{found:?}");
    println!("landlock is enforced: {}", found.has_landlock);
}

/// A process that ends without a page, in whatever way, is an error that says how it ended.
#[tokio::test]
async fn a_crashed_child_process_is_a_clear_error() {
    let long = Duration::from_mins(1);
    for (script, expected) in [
        ("exit 3", "exit status: 3"),
        ("kill -9 $$", "signal: 9"),
        ("cat > /dev/null; echo no", "exit status: 0"),
        ("cat > /dev/null; printf '\\0\\0\\0\\2{}'", "exit status: 0"),
    ] {
        let renderer = foreign(&["-c", script], long);
        let drawn = renderer.page(FileFormat::Jpeg, 1, &watermark(), pieces(&passport())).await;
        match drawn {
            Err(ViewError::Crashed { status }) => {
                assert!(status.contains(expected), "{script}: {status}");
            }
            other => panic!("{script}: {other:?}"),
        }
    }
    let missing =
        RenderProgram { program: PathBuf::from("/no/such/program"), arguments: Vec::new() };
    let renderer = Renderer::new(missing, &settings(1, long), FileLimits::default());
    let error = renderer.probe().await.err().unwrap();
    assert!(matches!(error, ViewError::Process(_)), "{error}");
}

/// A process that does not end is killed after its time.
#[tokio::test]
async fn a_child_process_that_does_not_end_is_killed() {
    let renderer = foreign(&["-c", "while :; do :; done"], Duration::from_millis(300));
    let drawn = renderer.page(FileFormat::Jpeg, 1, &watermark(), pieces(&passport())).await;
    assert!(matches!(drawn, Err(ViewError::Timeout(_))), "{drawn:?}");
}

/// A file that breaks off while it is sent gives no page.
#[tokio::test]
async fn a_file_that_breaks_off_gives_no_page() {
    let renderer = renderer(Duration::from_mins(1), FileLimits::default());
    let broken = pieces(&passport())
        .take(2)
        .chain(futures_util::stream::iter([Err(std::io::Error::other("damaged"))]));
    let drawn = renderer.page(FileFormat::Jpeg, 1, &watermark(), broken).await;
    assert!(matches!(drawn, Err(ViewError::Content(_))), "{drawn:?}");
}
