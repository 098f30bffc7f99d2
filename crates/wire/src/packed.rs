//! Doubles as protobuf packs them, eight bytes each, the least first: written and read all at once, where generated
//! code takes one after the other.

use crate::pb_fields::Malformed;

/// Appends the values.
pub fn push(out: &mut Vec<u8>, values: &[f64]) {
    let start = out.len();
    out.resize(start + size_of_val(values), 0);
    let (places, _) = out[start..].as_chunks_mut();
    for (place, value) in places.iter_mut().zip(values) {
        *place = value.to_le_bytes();
    }
}

/// Appends the values that the bytes stand for.
///
/// # Errors
/// Bytes that end within a value.
pub fn read(bytes: &[u8], values: &mut Vec<f64>) -> Result<(), Malformed> {
    let (whole, rest) = bytes.as_chunks();
    values.extend(whole.iter().map(|bytes| f64::from_le_bytes(*bytes)));
    if rest.is_empty() { Ok(()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[derive(PartialEq, prost::Message)]
    struct Generated {
        #[prost(double, repeated, tag = "7")]
        values: Vec<f64>,
    }

    #[test]
    fn values_lie_as_generated_code_lays_them() {
        let values = vec![0.0, -1.5, f64::MAX];
        let mut bytes = Vec::new();
        push(&mut bytes, &values);
        let group = crate::pb_v3::FoldedGroup { values: bytes.clone(), ..Default::default() };
        assert_eq!(
            Generated::decode(&*group.encode_to_vec()),
            Ok(Generated { values: values.clone() })
        );
        let mut back = Vec::new();
        assert_eq!(read(&bytes, &mut back), Ok(()));
        assert_eq!(back, values);
        assert_eq!(read(&bytes[1..], &mut back), Err(Malformed));
    }
}
