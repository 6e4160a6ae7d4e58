//! Valid and invalid definitions of collections.

use super::Collections;

#[test]
fn a_definition_for_fabrics_tools_is_read_with_its_defaults() {
    let text = r#"[{"name": "both", "policy": "OR('Org1MSP.member', 'Org2MSP.member')"},
        {"name": "one", "policy": "OR('Org1MSP.member')", "requiredPeerCount": 0,
         "maxPeerCount": 3, "blockToLive": 7, "memberOnlyRead": true, "memberOnlyWrite": true,
         "endorsementPolicy": {"signaturePolicy": "OR('Org1MSP.peer')"}}]"#;
    let collections = Collections::from_json(text).unwrap();
    let both = collections.get("both").unwrap();
    assert!(both.is_held_by("Org1MSP"));
    assert!(both.is_held_by("Org2MSP"));
    assert_eq!((both.required_peers, both.block_to_live), (0, 0));
    assert!(both.endorsement.is_none());
    let one = collections.get("one").unwrap();
    assert!(one.is_held_by("Org1MSP"));
    assert!(!one.is_held_by("Org2MSP"));
    assert_eq!(one.block_to_live, 7);
    assert!(one.endorsement.is_some());
    assert!(collections.get("none").is_none());
}

#[test]
fn every_organisation_of_the_channel_has_a_collection_of_its_own() {
    let collections = Collections::default();
    let own = collections.get("_implicit_org_Org2MSP").unwrap();
    assert!(own.is_held_by("Org2MSP"));
    assert!(!own.is_held_by("Org1MSP"));
    assert!(collections.get("_implicit_org_Org3MSP").is_none());
}

#[test]
fn an_invalid_collection_is_refused_with_its_reason() {
    for (text, reason) in [
        ("{}", "not a definition of collections"),
        (r#"[{"name": "_a", "policy": "OR('Org1MSP.member')"}]"#, "a name has letters"),
        (r#"[{"name": "a", "policy": "OR('Org9MSP.member')"}]"#, "Org9MSP is not part"),
        (
            r#"[{"name": "a", "policy": "AND('Org1MSP.member','Org2MSP.member')"}]"#,
            "may only use OR",
        ),
        (r#"[{"name": "a", "policy": "Org1"}]"#, "not a signature policy"),
        (
            r#"[{"name": "a", "policy": "OR('Org1MSP.member')", "requiredPeerCount": 2}]"#,
            "maxPeerCount (1) is less than requiredPeerCount (2)",
        ),
        (
            r#"[{"name": "a", "policy": "OR('Org1MSP.member')"},
                {"name": "a", "policy": "OR('Org1MSP.member')"}]"#,
            "defined twice",
        ),
        (
            r#"[{"name": "a", "policy": "OR('Org1MSP.member')",
                 "endorsementPolicy": {"channelConfigPolicy": "Nobody"}}]"#,
            "there is no channel policy",
        ),
    ] {
        let error = Collections::from_json(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
