//! Parses and writes policies.

use super::SignaturePolicy;

#[test]
fn policies_are_read_as_fabric_writes_them() {
    for (text, means) in [
        ("OR('Org1MSP.peer','Org2MSP.peer')", "OutOf(1, 'Org1MSP.peer', 'Org2MSP.peer')"),
        ("AND('Org1MSP.peer', \"Org2MSP.peer\")", "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer')"),
        ("outof ( 2 , 'A.member','B-1.c.admin' )", "OutOf(2, 'A.member', 'B-1.c.admin')"),
        ("'Org1MSP.client'", "'Org1MSP.client'"),
        (
            "Or('A.peer', And('B.peer', 'C.orderer'))",
            "OutOf(1, 'A.peer', OutOf(2, 'B.peer', 'C.orderer'))",
        ),
        ("OutOf(2, 'A.peer')", "OutOf(2, 'A.peer')"),
    ] {
        let policy: SignaturePolicy = text.parse().unwrap();
        assert_eq!(policy.to_string(), means);
        assert_eq!(means.parse(), Ok(policy.clone()));
        assert_eq!(SignaturePolicy::from_envelope(&policy.to_envelope()), Some(policy));
    }
}

#[test]
fn a_text_that_is_not_a_policy_is_refused_with_its_reason() {
    for (text, reason) in [
        ("", "the text ends where"),
        ("AND()", "expected a principal"),
        ("AND('Org1MSP.peer'", "the text ends where ) is expected"),
        ("NAND('Org1MSP.peer')", "nand is not AND, OR or OutOf"),
        ("OR('Org1MSP.king')", "\"Org1MSP.king\" is not"),
        ("OR('Org1MSP')", "\"Org1MSP\" is not"),
        ("OR('.peer')", "\".peer\" is not"),
        ("OR('A.peer') 'B.peer'", "expected the end"),
        ("OutOf('A.peer')", "is not a number"),
        ("OutOf(4, 'A.peer', 'B.peer')", "4 of 2 cannot be satisfied"),
        ("OR('A.peer", "a quote is not closed"),
    ] {
        let error = text.parse::<SignaturePolicy>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    let deep = format!("{}'A.peer'{}", "OR(".repeat(40), ")".repeat(40));
    assert!(deep.parse::<SignaturePolicy>().is_err());
}
