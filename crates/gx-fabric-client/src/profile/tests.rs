use std::path::Path;

use super::{Profile, ProfileError};

#[test]
fn the_example_is_a_profile() {
    let profile = Profile::parse(Profile::EXAMPLE, Path::new("conf")).unwrap();
    assert_eq!(profile.msp_id, "Org1MSP");
}
