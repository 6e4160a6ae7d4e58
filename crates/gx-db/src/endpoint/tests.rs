use super::*;

fn labels(url: &str) -> Vec<String> {
    let session = crate::SessionSettings::default().session(1);
    let instances = from_url(url).unwrap().into_iter();
    instances.map(|options| Endpoint::new(options, &session).label).collect()
}

#[test]
fn one_host_several_hosts_and_several_urls_are_read() {
    assert_eq!(labels("postgres://u:p@db.example/gx"), ["db.example:5432/gx"]);
    assert_eq!(
        labels("postgresql://u:p@a:1,b:2,[::1]:3/gx?sslmode=disable"),
        ["a:1/gx", "b:2/gx", "[::1]:3/gx"]
    );
    assert_eq!(labels("postgres://u@a/x, postgres://v:p,q@b:9/y"), ["a:5432/x", "b:9/y"]);
}

#[test]
fn the_schema_of_existing_deployments_becomes_the_search_path() {
    let options = from_url("postgres://u:p@h/gx?schema=public&sslmode=disable").unwrap();
    assert_eq!(options[0].get_options(), Some("-c search_path=public"));
    assert_eq!(labels("postgres://u:p@h/gx?schema=public"), ["h:5432/gx"]);
}

#[test]
fn what_cannot_be_read_is_refused_without_repeating_the_secret() {
    for url in [
        "mysql://u:s3cret@h/gx",
        "postgres://u:s3cret@h:port/gx",
        "postgres://u:s3cret@h:1,h:99999/gx",
        "postgres://u:s3/cret@h/gx",
        "postgres://u:s3cret@h/gx?sslmode=perhaps",
        "h:5432",
        "",
    ] {
        let problem = from_url(url).unwrap_err();
        assert!(problem.starts_with("DATABASE_URL: ") && !problem.contains("cret"), "{problem}");
    }
}

#[test]
fn encoding_leaves_nothing_that_a_url_would_read() {
    let all: String = (' '..='~').collect();
    let encoded = encode(&all);
    assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"%_".contains(&b)));
}
