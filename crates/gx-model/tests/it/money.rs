//! Qirat and GX.

use gx_model::{Gx, InvalidAmount, Qirat};
use proptest::prelude::*;

/// DB-06: zero, one Qirat and the whole supply stay the same in every form.
#[test]
fn db_06_amounts_survive_every_form() {
    for (amount, gx) in [
        (Qirat::ZERO, "0"),
        (Qirat::new(1).unwrap(), "0.000001"),
        (Qirat::gx(1), "1"),
        (Qirat::new(12_500_000).unwrap(), "12.5"),
        (Qirat::SUPPLY, "1250000000000"),
    ] {
        assert_eq!(Gx(amount).to_string(), gx);
        assert_eq!(gx.parse::<Gx>(), Ok(Gx(amount)));
        assert_eq!(amount.to_string().parse::<Qirat>(), Ok(amount));
        let json = serde_json::to_value(amount).unwrap();
        assert_eq!(json, serde_json::json!(amount.get().to_string()), "a string, not a number");
        assert_eq!(serde_json::from_value::<Qirat>(json).unwrap(), amount);
        let json = serde_json::to_value(Gx(amount)).unwrap();
        assert_eq!(json, serde_json::json!(gx));
        assert_eq!(serde_json::from_value::<Gx>(json).unwrap(), Gx(amount));
    }
}

#[test]
fn other_texts_than_amounts_are_refused() {
    use InvalidAmount::{Range, Syntax};
    for (text, why) in [
        ("", Syntax),
        (".5", Syntax),
        ("5.", Syntax),
        ("-1", Syntax),
        ("+1", Syntax),
        ("1e3", Syntax),
        ("1,5", Syntax),
        ("1.0000001", Syntax),
        ("1.5.5", Syntax),
        (" 1", Syntax),
        ("٣", Syntax),
        ("1250000000000.000001", Range),
        ("99999999999999999999999999", Range),
    ] {
        assert_eq!(text.parse::<Gx>(), Err(why), "{text:?}");
    }
    for (text, why) in [
        ("", Syntax),
        ("01", Syntax),
        ("-1", Syntax),
        ("+1", Syntax),
        ("1.0", Syntax),
        ("1250000000000000001", Range),
        ("9999999999999999999999", Range),
    ] {
        assert_eq!(text.parse::<Qirat>(), Err(why), "{text:?}");
    }
    for number in ["1", "1.5", "null", "[]"] {
        assert!(serde_json::from_str::<Qirat>(number).is_err(), "{number}");
        assert!(serde_json::from_str::<Gx>(number).is_err(), "{number}");
    }
}

proptest! {
    /// G4: arithmetic gives the exact result or `None`; it never wraps, goes below zero or exceeds
    /// the supply.
    #[test]
    fn g4_arithmetic_is_checked(a in 0..=Qirat::SUPPLY.get(), b in 0..=Qirat::SUPPLY.get()) {
        let [x, y] = [a, b].map(|amount| Qirat::new(amount).unwrap());
        let within = |amount: i128| (0..=i128::from(Qirat::SUPPLY.get())).contains(&amount);
        let [wide_a, wide_b] = [a, b].map(i128::from);
        let exact = |sum: Option<Qirat>| sum.map(|sum| i128::from(sum.get()));
        prop_assert_eq!(exact(x.checked_add(y)), Some(wide_a + wide_b).filter(|sum| within(*sum)));
        prop_assert_eq!(exact(x.checked_sub(y)), Some(wide_a - wide_b).filter(|sum| within(*sum)));
        prop_assert_eq!(exact(x.checked_mul(b)), Some(wide_a * wide_b).filter(|sum| within(*sum)));
        prop_assert_eq!(i128::from(x.basis_points(25).get()), wide_a * 25 / 10_000);
    }

    /// DB-06: every amount parses back from its GX form, which has no superfluous zeros.
    #[test]
    fn db_06_gx_reads_back(amount in 0..=Qirat::SUPPLY.get()) {
        let gx = Gx(Qirat::new(amount).unwrap());
        let text = gx.to_string();
        prop_assert_eq!(text.parse::<Gx>(), Ok(gx));
        prop_assert!(!text.contains('.') || !text.ends_with(['0', '.']));
    }
}
