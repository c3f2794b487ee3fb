//! A list that nearly always has one item, without memory of its own for that one.

use std::ops::Deref;

/// As a vector, for half a million records most of which have one: a box for each cost two trips to the allocator an alert.
#[derive(Clone, PartialEq, Eq)]
pub struct Few<T>(Held<T>);

#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::box_collection, reason = "a vector is three words, and this is to be one")]
enum Held<T> {
    None,
    One(T),
    More(Box<Vec<T>>),
}

impl<T> Few<T> {
    /// Adds at the end.
    pub fn push(&mut self, item: T) {
        self.0 = match std::mem::replace(&mut self.0, Held::None) {
            Held::None => Held::One(item),
            Held::One(first) => Held::More(Box::new(vec![first, item])),
            Held::More(mut items) => {
                items.push(item);
                Held::More(items)
            }
        };
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Held::None => &[],
            Held::One(item) => std::slice::from_ref(item),
            Held::More(items) => items,
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few(Held::None)
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Few<T> {
        let mut few = Few::default();
        items.into_iter().for_each(|item| few.push(item));
        few
    }
}

impl<T, const N: usize> From<[T; N]> for Few<T> {
    fn from(items: [T; N]) -> Few<T> {
        items.into_iter().collect()
    }
}

impl<'f, T> IntoIterator for &'f Few<T> {
    type Item = &'f T;
    type IntoIter = std::slice::Iter<'f, T>;

    fn into_iter(self) -> std::slice::Iter<'f, T> {
        self.iter()
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_it_is_the_list() {
        for length in 0..4_u64 {
            let list: Vec<u64> = (0..length).collect();
            let few: Few<u64> = list.iter().copied().collect();
            assert_eq!((&*few, few.clone() == few), (&*list, true));
        }
        assert_eq!(Few::from([1, 2]), [1, 2].into_iter().collect());
        assert_ne!(Few::from([1, 2]), Few::from([1]));
        assert_eq!(size_of::<Few<u64>>(), 16);
    }
}
