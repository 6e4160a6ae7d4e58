//! ECDSA signatures in the form that Fabric requires: P-256 over SHA-256, DER, low S. Made by
//! `Signer` and checked by `Identity::has_signed`.

/// Half of the order of P-256, rounded down: the largest S that counts as low.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// The order of the curve P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

const SCALAR_BYTES: usize = 32;

/// Converts the signature `r ‖ s` to DER, with the low one of the two valid values of S.
pub(crate) fn low_s_der(fixed: &[u8; 2 * SCALAR_BYTES]) -> Vec<u8> {
    let (r, s) = fixed.split_at(SCALAR_BYTES);
    let mut s: [u8; SCALAR_BYTES] = s.try_into().expect("the second half of 64 bytes is 32 bytes");
    if s > HALF_ORDER {
        s = order_minus(s);
    }
    der(r, &s)
}

/// Returns whether a DER signature has a low S; `false` also for malformed signatures.
pub(crate) fn has_low_s(signature: &[u8]) -> bool {
    let Some(s) = s_of(signature) else { return false };
    let significant = match s.iter().position(|byte| *byte != 0) {
        Some(first) => &s[first..],
        None => return false,
    };
    significant.len() < SCALAR_BYTES
        || (significant.len() == SCALAR_BYTES && *significant <= HALF_ORDER[..])
}

/// Converts the signature `r ‖ s` to DER, with the high value of S, which a peer refuses.
#[cfg(test)]
pub(crate) fn high_s_der(fixed: &[u8; 2 * SCALAR_BYTES]) -> Vec<u8> {
    let (r, s) = fixed.split_at(SCALAR_BYTES);
    let mut s: [u8; SCALAR_BYTES] = s.try_into().expect("the second half of 64 bytes is 32 bytes");
    if s <= HALF_ORDER {
        s = order_minus(s);
    }
    der(r, &s)
}

/// Returns the other valid S.
fn order_minus(s: [u8; SCALAR_BYTES]) -> [u8; SCALAR_BYTES] {
    let mut difference = [0; SCALAR_BYTES];
    let mut borrow = false;
    for place in (0..SCALAR_BYTES).rev() {
        let (without, first) = ORDER[place].overflowing_sub(s[place]);
        let (byte, second) = without.overflowing_sub(u8::from(borrow));
        difference[place] = byte;
        borrow = first || second;
    }
    difference
}

/// Encodes `SEQUENCE { INTEGER r, INTEGER s }` as DER; both fit one length byte.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut integers = der_integer(r);
    integers.extend(der_integer(s));
    let length = u8::try_from(integers.len()).expect("two integers of 33 bytes are below 128");
    let mut signature = vec![0x30, length];
    signature.extend(integers);
    signature
}

fn der_integer(scalar: &[u8]) -> Vec<u8> {
    let zeros = scalar.iter().take(scalar.len() - 1).take_while(|byte| **byte == 0).count();
    let significant = &scalar[zeros..];
    let sign_byte = significant[0] & 0x80 != 0;
    let length = significant.len() + usize::from(sign_byte);
    let mut integer = vec![0x02, u8::try_from(length).expect("a scalar has at most 33 bytes")];
    if sign_byte {
        integer.push(0);
    }
    integer.extend_from_slice(significant);
    integer
}

/// Returns S of a DER signature, or `None` if the signature is malformed.
fn s_of(signature: &[u8]) -> Option<&[u8]> {
    let [0x30, length, body @ ..] = signature else { return None };
    if usize::from(*length) != body.len() {
        return None;
    }
    let (_r, rest) = integer_of(body)?;
    let (s, rest) = integer_of(rest)?;
    rest.is_empty().then_some(s)
}

/// Returns the integer at the start of the bytes, and the rest; `None` if there is none.
fn integer_of(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x02, length, rest @ ..] = bytes else { return None };
    let length = usize::from(*length);
    (length > 0 && length <= rest.len()).then(|| rest.split_at(length))
}
