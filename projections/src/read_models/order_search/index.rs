//! From text to hashes: the same for what is stored and for what is looked for.
//!
//! An e-mail address counts as a whole, in lower case. A name counts by its words: runs of letters and digits, in lower
//! case, without diacritics (*Müller* and *MULLER* are one word, *Muller-Lüdenscheidt* are two). A word is found as a
//! whole, never by its beginning: a hash has none.

use docket_event_store::{IndexKey, MasterKey, Vault};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use uuid::Uuid;

/// Other hashes for another kind of index, and for other rules of normalising.
const LABEL: &str = "order_search 1";
/// Words of a name that are kept; a name has at most 200 bytes.
pub const MAX_WORDS: usize = 16;
/// Bytes of a text to look for: an e-mail address and some words.
pub const MAX_TEXT_BYTES: usize = 400;

/// The number of no order, for digits that are none.
const NO_ORDER: i64 = -1;

/// Makes the hashes. PostgreSQL keeps one as a `uuid`, its only plain value of 16 bytes; it is none.
#[derive(Clone)]
pub struct Index(IndexKey);

/// What somebody looks for: all of it must be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// An order's number.
    pub number: Option<i64>,
    /// E-mail addresses; no order has two.
    pub emails: Vec<Uuid>,
    /// Words of the name.
    pub words: Vec<Uuid>,
}

/// The text to look for is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Too many bytes.
    #[error("a text to search for has at most {MAX_TEXT_BYTES} bytes, not {0}")]
    TooLong(usize),
    /// Too many words.
    #[error("a text to search for has at most {MAX_WORDS} words, not {0}")]
    TooManyWords(usize),
}

impl Terms {
    /// Whether it takes the hashes to find it.
    pub fn is_personal(&self) -> bool {
        !(self.emails.is_empty() && self.words.is_empty())
    }

    /// Whether nothing can be found by it: there is no letter or digit in it.
    pub fn is_empty(&self) -> bool {
        self.number.is_none() && !self.is_personal()
    }
}

impl Index {
    /// With the vault's master key.
    pub fn new(vault: &Vault) -> Self {
        Self(vault.index_key(LABEL))
    }

    /// With a master key.
    pub fn with(master: &MasterKey) -> Self {
        Self(master.index_key(LABEL))
    }

    /// The hash of an e-mail address.
    pub fn email(&self, address: &str) -> Uuid {
        self.hash("email", &address.trim().to_lowercase())
    }

    /// The hashes of a name's words, each once, in the order of the hashes: the first [`MAX_WORDS`] words.
    pub fn words(&self, name: &str) -> Vec<Uuid> {
        let words = words(name).into_iter().take(MAX_WORDS);
        let mut hashes: Vec<Uuid> = words.map(|word| self.hash("name", &word)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// What a text asks for: `1001` and `#1001` are an order's number, a part with an `@` is an e-mail address, and
    /// everything else words of a name.
    ///
    /// # Errors
    /// When the text is too long.
    pub fn terms(&self, text: &str) -> Result<Terms, TermsError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TermsError::TooLong(text.len()));
        }
        let text = text.trim();
        let digits = text.strip_prefix('#').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = Some(
                digits
                    .parse()
                    .ok()
                    .filter(|number| *number > 0)
                    .unwrap_or(NO_ORDER),
            );
            return Ok(Terms {
                number,
                ..Terms::default()
            });
        }
        let mut terms = Terms::default();
        let mut count = 0;
        for part in text.split_whitespace() {
            if part.contains('@') {
                count += 1;
                terms.emails.push(self.email(part));
            } else {
                let words = words(part);
                count += words.len();
                terms
                    .words
                    .extend(words.iter().map(|word| self.hash("name", word)));
            }
        }
        if count > MAX_WORDS {
            return Err(TermsError::TooManyWords(count));
        }
        for hashes in [&mut terms.emails, &mut terms.words] {
            hashes.sort_unstable();
            hashes.dedup();
        }
        Ok(terms)
    }

    fn hash(&self, kind: &str, value: &str) -> Uuid {
        Uuid::from_bytes(self.0.hash(kind, value))
    }
}

/// The words of a name as they are compared.
fn words(name: &str) -> Vec<String> {
    let folded: String = name
        .to_lowercase()
        .nfkd()
        .filter(|letter| !is_combining_mark(*letter))
        .collect();
    let words = folded.split(|letter: char| !letter.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Index, MAX_WORDS, Terms, TermsError, words};
    use docket_event_store::MasterKey;

    fn index() -> Index {
        Index::with(&MasterKey::from_hex(&"5a".repeat(32)).expect("64 digits"))
    }

    #[test]
    fn case_diacritics_and_what_stands_between_words_do_not_count() {
        assert_eq!(
            words("Zoë  MÜLLER-Lüdenscheidt"),
            ["zoe", "muller", "ludenscheidt"]
        );
        assert_eq!(words("O\u{2019}Brien, Seán"), ["o", "brien", "sean"]);
        // Composed and decomposed, full width, another script.
        assert_eq!(words("e\u{301} \u{e9} \u{ff21}"), ["e", "e", "a"]);
        assert_eq!(words("山田 太郎"), ["山田", "太郎"]);
        assert_eq!(words(" - ' "), [""; 0]);
    }

    #[test]
    fn a_text_is_a_number_an_address_or_words() {
        let index = index();
        let terms = |text| index.terms(text).expect("it is short");
        for text in ["1001", "#1001", " 1001 "] {
            let number = Some(1_001);
            assert_eq!(
                terms(text),
                Terms {
                    number,
                    ..Terms::default()
                },
                "{text}"
            );
        }
        for text in ["99999999999999999999", "0", "#000"] {
            assert_eq!(terms(text).number, Some(-1), "{text}");
        }
        assert_eq!(terms("Ada LOVELACE ada").words, index.words("lovelace adA"));
        assert_eq!(terms("Ada@Example.org").emails, [index.email("ada@example.ORG ")]);
        let both = terms("ada@example.org Lovelace");
        assert_eq!((both.emails.len(), both.words.len()), (1, 1));
        for text in ["", "  ", "#", "!?"] {
            assert!(terms(text).is_empty(), "{text}");
        }
        assert!(terms("#1001 ada").number.is_none());
    }

    #[test]
    fn what_is_too_long_is_refused_in_a_search_and_cut_in_a_name() {
        let index = index();
        let many = "a b c d e f g h i j k l m n o p q";
        assert_eq!(index.terms(many), Err(TermsError::TooManyWords(MAX_WORDS + 1)));
        assert_eq!(index.words(many).len(), MAX_WORDS);
        assert_eq!(index.terms(&"x".repeat(401)), Err(TermsError::TooLong(401)));
    }
}
