//! ECDSA signatures in the form that Fabric requires: DER with a low S. `Identity::sign` converts
//! each signature with [`low_s_der`].

/// Number of bytes of a P-256 scalar.
const SCALAR_BYTES: usize = 32;

/// The order n of the P-256 group.
const ORDER: [u8; SCALAR_BYTES] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// n / 2, rounded down: the highest S that counts as low.
const HALF_ORDER: [u8; SCALAR_BYTES] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Converts `r ‖ s` of fixed length to DER and replaces a high s by n − s.
pub(crate) fn low_s_der(fixed: &[u8; 2 * SCALAR_BYTES]) -> Vec<u8> {
    let (r, s) = fixed.split_at(SCALAR_BYTES);
    let s: [u8; SCALAR_BYTES] = s.try_into().expect("the second half of two scalars is one");
    let low_s = if s > HALF_ORDER { order_minus(&s) } else { s };

    let mut scalars = der_integer(r);
    scalars.extend(der_integer(&low_s));
    let mut der = vec![0x30, short_length(&scalars)];
    der.extend(scalars);
    der
}

fn order_minus(s: &[u8; SCALAR_BYTES]) -> [u8; SCALAR_BYTES] {
    let mut difference = [0; SCALAR_BYTES];
    let mut borrow = false;
    for i in (0..SCALAR_BYTES).rev() {
        let (without_borrow, first) = ORDER[i].overflowing_sub(s[i]);
        let (digit, second) = without_borrow.overflowing_sub(u8::from(borrow));
        difference[i] = digit;
        borrow = first || second;
    }
    difference
}

fn der_integer(scalar: &[u8]) -> Vec<u8> {
    let zeros = scalar.iter().take(scalar.len() - 1).take_while(|byte| **byte == 0).count();
    let mut content = Vec::with_capacity(SCALAR_BYTES + 1);
    if scalar[zeros] & 0x80 != 0 {
        content.push(0);
    }
    content.extend_from_slice(&scalar[zeros..]);
    let mut integer = vec![0x02, short_length(&content)];
    integer.extend(content);
    integer
}

fn short_length(content: &[u8]) -> u8 {
    u8::try_from(content.len()).expect("two P-256 integers have at most 70 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
        let mut both = [0; 64];
        both[..32].copy_from_slice(&r);
        both[32..].copy_from_slice(&s);
        both
    }

    fn s_of(der: &[u8]) -> Vec<u8> {
        let r_length = usize::from(der[3]);
        der[4 + r_length + 2..].to_vec()
    }

    #[test]
    fn the_highest_low_s_is_kept_and_the_next_is_replaced() {
        let mut above = HALF_ORDER;
        above[31] += 1;
        // n is odd, so the mirror image of ⌊n/2⌋ + 1 is ⌊n/2⌋.
        assert_eq!(s_of(&low_s_der(&fixed([1; 32], HALF_ORDER))), HALF_ORDER);
        assert_eq!(s_of(&low_s_der(&fixed([1; 32], above))), HALF_ORDER);
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        let mut order_less_one = ORDER;
        order_less_one[31] -= 1;
        let der = low_s_der(&fixed([0xff; 32], order_less_one));
        let mut expected = vec![0x30, 38, 0x02, 33, 0x00];
        expected.extend([0xff; 32]);
        expected.extend([0x02, 1, 1]);
        assert_eq!(der, expected);
    }
}
