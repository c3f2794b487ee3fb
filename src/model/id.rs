//! Identities, each with the text form that users and other programs see.

use std::fmt;

/// The identity of an alert: Alertmanager's FNV-1a over its labels. Shown as 16 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

/// The number of an incident; shown as `INC-1042`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub u64);

/// The number of a notification within one data directory. To the outside it is `<directory>-<number>`, which no
/// other installation repeats: receivers use it to drop what they have seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(pub u64);

/// The identity of a silence, a UUID as Alertmanager's clients expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SilenceId(pub u128);

impl Fingerprint {
    /// Parses the 16 hex digits.
    ///
    /// # Errors
    /// `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Fingerprint> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl IncidentId {
    /// Parses `INC-1042`; the prefix may be in lower case or missing, as people type it.
    ///
    /// # Errors
    /// `None` for any other text, and for number 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<IncidentId> {
        let digits = match text.split_at_checked(4) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("INC-") => rest,
            _ => text,
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().filter(|n| *n > 0).map(IncidentId)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INC-{}", self.0)
    }
}

impl NotificationId {
    /// The text form in the data directory named `directory`.
    #[must_use]
    pub fn external(self, directory: &str) -> String {
        format!("{directory}-{}", self.0)
    }

    /// Parses the text form, with or without the directory's name.
    ///
    /// # Errors
    /// `None` for text that does not end in a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<NotificationId> {
        text.rsplit('-').next()?.parse().ok().map(NotificationId)
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            n >> 96,
            (n >> 80) & 0xffff,
            (n >> 64) & 0xffff,
            (n >> 48) & 0xffff,
            n & 0xffff_ffff_ffff
        )
    }
}

impl SilenceId {
    /// Parses a UUID in its usual form.
    ///
    /// # Errors
    /// `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<SilenceId> {
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        if groups != [8, 4, 4, 4, 12] || !text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(&text.replace('-', ""), 16).ok().map(SilenceId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_read_back() {
        assert_eq!(Fingerprint::parse("00000000000000ff"), Some(Fingerprint(255)));
        assert_eq!(Fingerprint::parse("+0000000000000ff"), None);
        assert_eq!(IncidentId::parse("INC-7"), Some(IncidentId(7)));
        assert_eq!(IncidentId::parse("inc-7"), Some(IncidentId(7)));
        assert_eq!(IncidentId::parse("7"), Some(IncidentId(7)));
        assert_eq!(IncidentId::parse("INC-0"), None);
        assert_eq!(IncidentId::parse("INC-+7"), None);
        assert_eq!(NotificationId::parse("abc-12"), Some(NotificationId(12)));
        let silence = SilenceId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(silence.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(SilenceId::parse(&silence.to_string()), Some(silence));
        assert_eq!(SilenceId::parse("x"), None);
    }
}
