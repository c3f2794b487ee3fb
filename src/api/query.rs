//! Query parameters, read strictly: an unknown one, a bad value or one given twice is an error that names it.

use axum::extract::Query as AxumQuery;
use axum::http::Uri;

use super::problem::Problem;

/// Entries of one page when none is asked for.
const PAGE_DEFAULT: usize = 100;
/// Entries of one page at most.
const PAGE_MAX: usize = 1_000;

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads the parameters of `uri`, of which only those in `known` may occur.
    ///
    /// # Errors
    /// 400 for text that is no query, and for an unknown name.
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Query, Problem> {
        let AxumQuery(pairs) = AxumQuery::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::bad_request("the query cannot be read as name=value pairs"))?;
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let known = if known.is_empty() { "takes none".to_owned() } else { format!("knows {}", known.join(", ")) };
            return Err(Problem::bad_request(format!("unknown parameter {name:?}; this call {known}")));
        }
        Ok(Query { pairs })
    }

    /// Every value of a parameter that may be repeated.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// 400 when it is given twice.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.pairs.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Problem::bad_request(format!("parameter {name} is given twice")));
        }
        Ok(first)
    }

    /// The value of a parameter that is a whole number.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let number = text.parse().map_err(|_| Problem::bad_request(format!("parameter {name}: {text:?} is no whole number")))?;
        Ok(Some(number))
    }

    /// The comma-separated values of a parameter, each of which must be one of `known`; `None` when it is not given.
    ///
    /// # Errors
    /// 400 for another value.
    pub(super) fn words<'k>(&self, name: &str, known: &[&'k str]) -> Result<Option<Vec<&'k str>>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let word = |given: &str| {
            let found = known.iter().find(|word| **word == given).copied();
            found.ok_or_else(|| Problem::bad_request(format!("parameter {name}: {given:?} is none of {}", known.join(", "))))
        };
        text.split(',').map(|given| word(given.trim())).collect::<Result<_, _>>().map(Some)
    }

    /// The pairs of every `label=name:value`.
    ///
    /// # Errors
    /// 400 for one without a colon or a name.
    pub(super) fn labels(&self) -> Result<Vec<(String, String)>, Problem> {
        let pair = |text: &str| match text.split_once(':') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Problem::bad_request(format!("parameter label: {text:?} is not name:value"))),
        };
        self.all("label").map(pair).collect()
    }

    /// `limit`: 100 when not given, 1 to 1,000.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        match self.number("limit")? {
            None => Ok(PAGE_DEFAULT),
            Some(number) => usize::try_from(number)
                .ok()
                .filter(|n| (1..=PAGE_MAX).contains(n))
                .ok_or_else(|| Problem::bad_request(format!("parameter limit: {number} is not between 1 and {PAGE_MAX}"))),
        }
    }

    /// `cursor`: as an earlier page's `next` gave it.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn cursor(&self) -> Result<Option<u64>, Problem> {
        self.number("cursor")
    }
}
