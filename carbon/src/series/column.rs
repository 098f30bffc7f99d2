//! A growing array in fixed pieces: growth never copies what is there and never holds twice the memory.

/// An array of `T` by dense index, kept in pieces of `PIECE` values.
#[derive(Debug)]
pub(crate) struct Column<T, const PIECE: usize> {
    pieces: Vec<Vec<T>>,
    len: usize,
}

impl<T, const PIECE: usize> Default for Column<T, PIECE> {
    fn default() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }
}

impl<T, const PIECE: usize> Column<T, PIECE> {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds one value at the end and says where it lies.
    pub(crate) fn push(&mut self, value: T) -> usize {
        let at = self.len;
        if at.is_multiple_of(PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        self.pieces[at / PIECE].push(value);
        self.len += 1;
        at
    }

    /// Fills up with `value()` until `index` exists.
    pub(crate) fn reach(&mut self, index: usize, value: impl Fn() -> T) {
        while self.len <= index {
            self.push(value());
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.pieces.get(index / PIECE)?.get(index % PIECE)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pieces.get_mut(index / PIECE)?.get_mut(index % PIECE)
    }

    /// All values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    /// Bytes held, unused room at the end included.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.pieces.len() * PIECE * size_of::<T>() + self.pieces.capacity() * size_of::<Vec<T>>()
    }
}

impl<T, const PIECE: usize> std::ops::Index<usize> for Column<T, PIECE> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.pieces[index / PIECE][index % PIECE]
    }
}

impl<T, const PIECE: usize> std::ops::IndexMut<usize> for Column<T, PIECE> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.pieces[index / PIECE][index % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_place_over_piece_borders() {
        let mut column: Column<u32, 4> = Column::default();
        for value in 0..11 {
            assert_eq!(column.push(value), value as usize);
        }
        column.reach(13, || 99);
        assert_eq!(column.len(), 14);
        assert_eq!((0..14).map(|i| column[i]).sum::<u32>(), 55 + 3 * 99);
        assert_eq!(column.get(14), None);
    }
}
