//! Columns as they go out: builders that append into the buffers the host takes.

use crate::types::Type;
use crate::value::Value;
use crate::view::Native;
use crate::wit::columnar as raw;

/// A finished column.
#[derive(Debug, Clone)]
pub struct Built {
    pub(crate) rows: usize,
    pub(crate) column: raw::Column,
}

/// Bits, one for each row; the least significant bit comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    rows: usize,
}

impl Bits {
    /// No rows yet, room for `rows`.
    pub fn with_capacity(rows: usize) -> Self {
        Bits {
            bytes: Vec::with_capacity(rows.div_ceil(8)),
            rows: 0,
        }
    }

    /// `rows` bits that are all `value`.
    pub fn filled(rows: usize, value: bool) -> Self {
        Bits {
            bytes: vec![if value { 0xff } else { 0 }; rows.div_ceil(8)],
            rows,
        }
    }

    /// Appends a bit.
    #[inline]
    pub fn push(&mut self, value: bool) {
        if self.rows.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if value && let Some(last) = self.bytes.last_mut() {
            *last |= 1 << (self.rows % 8);
        }
        self.rows += 1;
    }

    /// Changes the bit of `row`.
    pub fn set(&mut self, row: usize, value: bool) {
        if let Some(byte) = self.bytes.get_mut(row / 8) {
            *byte = *byte & !(1 << (row % 8)) | (u8::from(value) << (row % 8));
        }
    }

    /// How many bits.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut all = Bits::default();
        bits.into_iter().for_each(|bit| all.push(bit));
        all
    }
}

/// Which rows are there; nothing is kept until the first null.
#[derive(Debug, Clone, Default)]
struct Validity {
    rows: usize,
    bits: Option<Bits>,
}

impl Validity {
    #[inline]
    fn push(&mut self, present: bool) {
        match &mut self.bits {
            Some(bits) => bits.push(present),
            None if present => {}
            None => {
                let mut bits = Bits::filled(self.rows, true);
                // The last byte is filled to its end; the bits to come are not there yet.
                if !self.rows.is_multiple_of(8)
                    && let Some(last) = bits.bytes.last_mut()
                {
                    *last &= (1 << (self.rows % 8)) - 1;
                }
                bits.push(false);
                self.bits = Some(bits);
            }
        }
        self.rows += 1;
    }

    fn into_bytes(self) -> Vec<u8> {
        self.bits.map(Bits::into_bytes).unwrap_or_default()
    }
}

/// Builds a column of text or bytes.
///
/// ```
/// # use dkhost_sdk::TextBuilder;
/// let mut names = TextBuilder::with_capacity(2, 16);
/// names.push("Ada");
/// names.push_null();
/// names.write(|text| text.push_str("Grace"));    // straight into the buffer
/// ```
#[derive(Debug, Clone)]
pub struct TextBuilder {
    data: String,
    offsets: Vec<u8>,
    validity: Validity,
}

impl TextBuilder {
    /// Room for `rows` rows and `bytes` bytes in all.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity((rows + 1) * 4);
        offsets.extend_from_slice(&0i32.to_le_bytes());
        TextBuilder {
            data: String::with_capacity(bytes),
            offsets,
            validity: Validity::default(),
        }
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, text: &str) {
        self.data.push_str(text);
        self.end(true);
    }

    /// Appends a row that is null.
    pub fn push_null(&mut self) {
        self.end(false);
    }

    /// Appends a row, or null.
    pub fn push_option(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.push(text),
            None => self.push_null(),
        }
    }

    /// Appends a row that `write` appends to the text of all rows before. It must only append.
    pub fn write(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.data.len();
        write(&mut self.data);
        assert!(
            self.data.len() >= start,
            "a row's text was removed instead of appended"
        );
        self.end(true);
    }

    /// Appends a row as [`TextBuilder::write`] does, or null when `write` returns `false`; what it
    /// appended for a null is taken back.
    #[inline]
    pub fn write_option(&mut self, write: impl FnOnce(&mut String) -> bool) {
        let start = self.data.len();
        let present = write(&mut self.data);
        assert!(
            self.data.len() >= start,
            "a row's text was removed instead of appended"
        );
        if !present {
            self.data.truncate(start);
        }
        self.end(present);
    }

    #[inline]
    fn end(&mut self, present: bool) {
        // The host refuses more than 2 GiB of text in one column before this can overflow.
        self.offsets
            .extend_from_slice(&(self.data.len() as i32).to_le_bytes());
        self.validity.push(present);
    }

    /// How many rows so far.
    pub fn rows(&self) -> usize {
        self.validity.rows
    }
}

impl From<TextBuilder> for Built {
    fn from(text: TextBuilder) -> Built {
        let rows = text.validity.rows;
        let validity = text.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: text.data.into_bytes(),
                offsets: text.offsets,
                validity,
            },
        }
    }
}

/// Builds a column of bytes.
#[derive(Debug, Clone)]
pub struct BytesBuilder {
    data: Vec<u8>,
    offsets: Vec<u8>,
    validity: Validity,
}

impl BytesBuilder {
    /// Room for `rows` rows and `bytes` bytes in all.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity((rows + 1) * 4);
        offsets.extend_from_slice(&0i32.to_le_bytes());
        BytesBuilder {
            data: Vec::with_capacity(bytes),
            offsets,
            validity: Validity::default(),
        }
    }

    /// Appends a row, or null.
    pub fn push(&mut self, bytes: Option<&[u8]>) {
        self.data.extend_from_slice(bytes.unwrap_or_default());
        self.offsets
            .extend_from_slice(&(self.data.len() as i32).to_le_bytes());
        self.validity.push(bytes.is_some());
    }
}

impl From<BytesBuilder> for Built {
    fn from(bytes: BytesBuilder) -> Built {
        let rows = bytes.validity.rows;
        let validity = bytes.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: bytes.data,
                offsets: bytes.offsets,
                validity,
            },
        }
    }
}

/// Builds a column of fixed-width values.
#[derive(Debug, Clone)]
pub struct FixedBuilder<T> {
    data: Vec<u8>,
    validity: Validity,
    native: std::marker::PhantomData<T>,
}

impl<T: Native> FixedBuilder<T> {
    /// Room for `rows` rows.
    pub fn with_capacity(rows: usize) -> Self {
        let data = Vec::with_capacity(rows * T::WIDTH);
        FixedBuilder {
            data,
            validity: Validity::default(),
            native: std::marker::PhantomData,
        }
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, value: T) {
        self.data.extend_from_slice(value.bytes().as_ref());
        self.validity.push(true);
    }

    /// Appends a row that is null.
    pub fn push_null(&mut self) {
        self.data.resize(self.data.len() + T::WIDTH, 0);
        self.validity.push(false);
    }

    /// Appends a row, or null.
    #[inline]
    pub fn push_option(&mut self, value: Option<T>) {
        match value {
            Some(value) => self.push(value),
            None => self.push_null(),
        }
    }
}

impl<T: Native> From<FixedBuilder<T>> for Built {
    fn from(fixed: FixedBuilder<T>) -> Built {
        let rows = fixed.validity.rows;
        let validity = fixed.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: fixed.data,
                offsets: Vec::new(),
                validity,
            },
        }
    }
}

/// Builds a column of booleans.
#[derive(Debug, Clone, Default)]
pub struct BoolBuilder {
    data: Bits,
    validity: Validity,
}

impl BoolBuilder {
    /// Appends a row, or null.
    #[inline]
    pub fn push(&mut self, value: Option<bool>) {
        self.data.push(value.unwrap_or_default());
        self.validity.push(value.is_some());
    }
}

impl From<BoolBuilder> for Built {
    fn from(bools: BoolBuilder) -> Built {
        let rows = bools.validity.rows;
        let validity = bools.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: bools.data.into_bytes(),
                offsets: Vec::new(),
                validity,
            },
        }
    }
}

/// Builds a column of vectors.
#[derive(Debug, Clone)]
pub struct VectorBuilder {
    width: usize,
    data: Vec<u8>,
    validity: Validity,
}

impl VectorBuilder {
    /// Vectors of `n` float32.
    pub fn new(n: u32) -> Self {
        VectorBuilder {
            width: n as usize * 4,
            data: Vec::new(),
            validity: Validity::default(),
        }
    }

    /// Appends a row of float32 in little-endian bytes, or null; `false` (and a null instead) when
    /// it has another length.
    pub fn push(&mut self, bytes: Option<&[u8]>) -> bool {
        match bytes {
            Some(bytes) if bytes.len() == self.width => {
                self.data.extend_from_slice(bytes);
                self.validity.push(true);
                true
            }
            other => {
                self.data.resize(self.data.len() + self.width, 0);
                self.validity.push(false);
                other.is_none()
            }
        }
    }
}

impl From<VectorBuilder> for Built {
    fn from(vectors: VectorBuilder) -> Built {
        let rows = vectors.validity.rows;
        let validity = vectors.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: vectors.data,
                offsets: Vec::new(),
                validity,
            },
        }
    }
}

/// Builds a column whose type is known only when the plugin is opened.
#[derive(Debug, Clone)]
pub enum AnyBuilder {
    /// null.
    Null(usize),
    /// boolean.
    Bool(BoolBuilder),
    /// int32, date32.
    I32(FixedBuilder<i32>),
    /// int64, time64, timestamp.
    I64(FixedBuilder<i64>),
    /// uint64.
    U64(FixedBuilder<u64>),
    /// float32.
    F32(FixedBuilder<f32>),
    /// float64.
    F64(FixedBuilder<f64>),
    /// decimal.
    Decimal(FixedBuilder<i128>),
    /// uuid.
    Uuid(FixedBuilder<[u8; 16]>),
    /// utf8, json, number.
    Text(TextBuilder),
    /// binary.
    Bytes(BytesBuilder),
    /// vector.
    Vector(VectorBuilder),
}

impl AnyBuilder {
    /// A builder for columns of type `ty`; `None` for types of a newer contract.
    pub fn new(ty: &Type, rows: usize) -> Option<AnyBuilder> {
        Some(match ty {
            Type::Null => AnyBuilder::Null(0),
            Type::Boolean => AnyBuilder::Bool(BoolBuilder::default()),
            Type::Int32 | Type::Date32 => AnyBuilder::I32(FixedBuilder::with_capacity(rows)),
            Type::Int64 | Type::Time64 | Type::Timestamp(_) => {
                AnyBuilder::I64(FixedBuilder::with_capacity(rows))
            }
            Type::UInt64 => AnyBuilder::U64(FixedBuilder::with_capacity(rows)),
            Type::Float32 => AnyBuilder::F32(FixedBuilder::with_capacity(rows)),
            Type::Float64 => AnyBuilder::F64(FixedBuilder::with_capacity(rows)),
            Type::Decimal(..) => AnyBuilder::Decimal(FixedBuilder::with_capacity(rows)),
            Type::Uuid => AnyBuilder::Uuid(FixedBuilder::with_capacity(rows)),
            Type::Utf8 | Type::Json | Type::Number => {
                AnyBuilder::Text(TextBuilder::with_capacity(rows, rows * 16))
            }
            Type::Binary => AnyBuilder::Bytes(BytesBuilder::with_capacity(rows, rows * 16)),
            Type::Vector(n) => AnyBuilder::Vector(VectorBuilder::new(*n)),
            Type::Other(_) => return None,
        })
    }

    /// Appends a value; `false` (and a null instead) when the type cannot hold it.
    pub fn push(&mut self, value: &Value<'_>) -> bool {
        macro_rules! put {
            ($builder:expr, $value:expr) => {{
                let value = $value;
                $builder.push_option(value);
                value.is_some()
            }};
        }
        match (self, value) {
            (AnyBuilder::Null(rows), value) => {
                *rows += 1;
                value.is_null()
            }
            (builder, Value::Null) => {
                builder.push_null();
                true
            }
            (AnyBuilder::Bool(b), Value::Bool(value)) => {
                b.push(Some(*value));
                true
            }
            (AnyBuilder::I32(b), value) => {
                put!(b, value.as_i64().and_then(|v| i32::try_from(v).ok()))
            }
            (AnyBuilder::I64(b), value) => put!(b, value.as_i64()),
            (AnyBuilder::U64(b), Value::UInt(value)) => put!(b, Some(*value)),
            (AnyBuilder::U64(b), Value::Int(value)) => put!(b, u64::try_from(*value).ok()),
            (AnyBuilder::F32(b), Value::Float(value)) => put!(b, Some(*value as f32)),
            (AnyBuilder::F64(b), value) => put!(b, value.as_f64()),
            (AnyBuilder::Decimal(b), Value::Decimal(value)) => put!(b, Some(*value)),
            (AnyBuilder::Uuid(b), Value::Uuid(value)) => put!(b, Some(*value)),
            (AnyBuilder::Text(b), Value::Text(text)) => {
                b.push(text);
                true
            }
            (AnyBuilder::Bytes(b), Value::Bytes(bytes)) => {
                b.push(Some(bytes));
                true
            }
            (AnyBuilder::Vector(b), Value::Vector(bytes)) => b.push(Some(bytes)),
            (builder, _) => {
                builder.push_null();
                false
            }
        }
    }

    fn push_null(&mut self) {
        match self {
            AnyBuilder::Null(rows) => *rows += 1,
            AnyBuilder::Bool(b) => b.push(None),
            AnyBuilder::I32(b) => b.push_null(),
            AnyBuilder::I64(b) => b.push_null(),
            AnyBuilder::U64(b) => b.push_null(),
            AnyBuilder::F32(b) => b.push_null(),
            AnyBuilder::F64(b) => b.push_null(),
            AnyBuilder::Decimal(b) => b.push_null(),
            AnyBuilder::Uuid(b) => b.push_null(),
            AnyBuilder::Text(b) => b.push_null(),
            AnyBuilder::Bytes(b) => b.push(None),
            AnyBuilder::Vector(b) => {
                b.push(None);
            }
        }
    }
}

impl From<AnyBuilder> for Built {
    fn from(any: AnyBuilder) -> Built {
        match any {
            AnyBuilder::Null(rows) => {
                let column = raw::Column {
                    data: Vec::new(),
                    offsets: Vec::new(),
                    validity: Vec::new(),
                };
                Built { rows, column }
            }
            AnyBuilder::Bool(b) => b.into(),
            AnyBuilder::I32(b) => b.into(),
            AnyBuilder::I64(b) => b.into(),
            AnyBuilder::U64(b) => b.into(),
            AnyBuilder::F32(b) => b.into(),
            AnyBuilder::F64(b) => b.into(),
            AnyBuilder::Decimal(b) => b.into(),
            AnyBuilder::Uuid(b) => b.into(),
            AnyBuilder::Text(b) => b.into(),
            AnyBuilder::Bytes(b) => b.into(),
            AnyBuilder::Vector(b) => b.into(),
        }
    }
}
