//! Who buys: invented, from lists of words. A customer is a pure function of the seed and their number.
//!
//! E-mail is in a domain that nobody can own (RFC 2606), telephone numbers are from ranges kept for fiction where a
//! country has one, and short of a valid number otherwise.

use super::{
    dice::Dice,
    market::{MARKETS, Market},
    rates,
};

/// Streams of dice from here on are customers', those below are orders'.
const CUSTOMERS: u64 = 1 << 62;

/// Names and places of a language.
struct Words {
    locale: &'static str,
    given: &'static [&'static str],
    family: &'static [&'static str],
    /// For mail, in ASCII, as long as `given`.
    mail: &'static [&'static str],
    /// `{}` is the house's number.
    streets: &'static [&'static str],
    /// With the postal code's beginning, and how many digits follow it.
    towns: &'static [(&'static str, &'static str, u32)],
    /// `{}` is three digits.
    phone: &'static str,
}

const WORDS: &[Words] = &[
    Words {
        locale: "de-DE",
        given: &[
            "Jule", "Merle", "Tarek", "Hinnerk", "Frauke", "Ansgar", "Swantje", "Ilja", "Malte", "Nele",
        ],
        mail: &[
            "jule", "merle", "tarek", "hinnerk", "frauke", "ansgar", "swantje", "ilja", "malte", "nele",
        ],
        family: &[
            "Birkenwald",
            "Quellenborn",
            "Sandmühl",
            "Tannhoff",
            "Dünnebacke",
            "Moosleitner",
            "Uferrand",
        ],
        streets: &[
            "Am Teekessel {}",
            "Lindenbogen {}",
            "Kranichweg {}",
            "Alte Zeile {}",
            "Hafergrund {}",
        ],
        towns: &[
            ("Hamburg", "22", 3),
            ("Leipzig", "04", 3),
            ("Köln", "50", 3),
            ("Freiburg", "79", 3),
            ("Jena", "07", 3),
        ],
        phone: "+49 30 23125 {}",
    },
    Words {
        locale: "de-AT",
        given: &["Reserl", "Valentin", "Burgi", "Leopold", "Mizzi", "Florian"],
        mail: &["reserl", "valentin", "burgi", "leopold", "mizzi", "florian"],
        family: &[
            "Almbacher",
            "Gletschnig",
            "Hochrainder",
            "Kirschlehner",
            "Zirbenfels",
        ],
        streets: &["Obere Zeile {}", "Marillengasse {}", "Am Anger {}"],
        towns: &[
            ("Wien", "1", 3),
            ("Graz", "80", 2),
            ("Linz", "40", 2),
            ("Salzburg", "50", 2),
        ],
        phone: "+43 1 0000 {}",
    },
    Words {
        locale: "fr-FR",
        given: &[
            "Solène", "Maëlle", "Titouan", "Gaspard", "Apolline", "Corentin", "Léonie", "Yanis",
        ],
        mail: &[
            "solene", "maelle", "titouan", "gaspard", "apolline", "corentin", "leonie", "yanis",
        ],
        family: &[
            "Boisclairon",
            "Montrivel",
            "Fontargent",
            "Ruisselet",
            "Chantemorne",
            "Valmarin",
        ],
        streets: &[
            "{} rue des Théières",
            "{} allée du Verger",
            "{} quai aux Herbes",
            "{} chemin Creux",
        ],
        towns: &[
            ("Nantes", "44", 3),
            ("Lyon", "6900", 1),
            ("Lille", "59", 3),
            ("Rennes", "35", 3),
        ],
        phone: "+33 1 99 00 {}",
    },
    Words {
        locale: "en-IE",
        given: &["Aoibheann", "Cillian", "Sadhbh", "Fiachra"],
        mail: &["aoibheann", "cillian", "sadhbh", "fiachra"],
        family: &["Glenharrow", "Ballinrush", "Corrymeade", "Dunlavery"],
        streets: &["{} Harbour Row", "{} Saltmarsh Lane", "{} Old Mill Terrace"],
        towns: &[
            ("Cork", "T12 X", 3),
            ("Galway", "H91 Y", 3),
            ("Dublin", "D08 Z", 3),
        ],
        phone: "+353 20 911 {}",
    },
    Words {
        locale: "en-US",
        given: &[
            "Marlowe", "Juniper", "Thaddeus", "Wren", "Ezra", "Odessa", "Callum", "Imogen", "Desmond", "Tess",
        ],
        mail: &[
            "marlowe", "juniper", "thaddeus", "wren", "ezra", "odessa", "callum", "imogen", "desmond", "tess",
        ],
        family: &[
            "Ashgrove",
            "Fernwick",
            "Halloworth",
            "Pinecrest",
            "Quillfeather",
            "Stonebrook",
            "Underhollow",
        ],
        streets: &[
            "{} Teakettle Ln",
            "{} Elm Hollow Rd",
            "{} N Quarry St",
            "{} Lakeview Ct",
        ],
        towns: &[
            ("Portland", "972", 2),
            ("Austin", "787", 2),
            ("Madison", "537", 2),
            ("Ithaca", "148", 2),
        ],
        phone: "+1 202 555 0{}",
    },
    Words {
        locale: "ja-JP",
        given: &["結芽", "陽向", "蒼真", "小春", "凪", "千景"],
        mail: &["yume", "hinata", "soma", "koharu", "nagi", "chikage"],
        family: &["茶野原", "雪ノ江", "松籟", "霧ヶ沢", "鈴鹿野"],
        streets: &["茶ノ木町{}番地", "若葉台{}番地", "川端通{}番地"],
        towns: &[
            ("京都市", "600-8", 3),
            ("札幌市", "060-0", 3),
            ("福岡市", "810-0", 3),
        ],
        phone: "+81 3 0000 0{}",
    },
    Words {
        locale: "ar-KW",
        given: &["ليان", "جود", "راكان", "ديمة", "سيف"],
        mail: &["layan", "joud", "rakan", "deema", "saif"],
        family: &["النخيلات", "البحيران", "السدراوي", "الرمثاني"],
        streets: &["شارع {}", "جادة {}"],
        towns: &[("حولي", "32", 3), ("السالمية", "22", 3)],
        phone: "+965 0000 0{}",
    },
];

/// Somebody who buys.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// In the shop's accounts; a guest has none.
    pub(super) customer: Option<String>,
    pub(super) market: &'static Market,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) phone: String,
    pub(super) place: Place,
}

/// An address without a name.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) street: String,
    pub(super) town: &'static str,
    pub(super) postal_code: String,
}

impl Person {
    /// Who buys next. There are about half as many customers as orders, and a few buy often: the number of a customer
    /// follows the cube of an even chance, so that the first tenth makes almost half of the orders.
    pub(super) fn of_order(seed: u64, orders: u64, dice: &mut Dice) -> Self {
        if dice.happens(rates::GUEST) {
            return Self::new(None, dice);
        }
        const PARTS: u64 = 1 << 20;
        let chance = u128::from(dice.below(PARTS));
        let customers = u128::from((orders / 2).max(1));
        // Below the number of customers, because the chance is below one.
        let number = ((chance * chance * chance * customers) >> 60) as u64;
        Self::new(
            Some(format!("c-{:06}", number + 1)),
            &mut Dice::new(seed, CUSTOMERS + number),
        )
    }

    fn new(customer: Option<String>, dice: &mut Dice) -> Self {
        let market = dice.weighted(MARKETS, |market| market.share);
        let words = words(market);
        let given = dice.below(words.given.len() as u64) as usize;
        let family = dice.pick(words.family);
        let name = match market.locale {
            "ja-JP" => format!("{family} {}", words.given[given]),
            _ => format!("{} {family}", words.given[given]),
        };
        Self {
            customer,
            market,
            name,
            email: format!("{}.{}@example.org", words.mail[given], dice.between(100, 99_999)),
            phone: words
                .phone
                .replace("{}", &format!("{:03}", dice.between(100, 199))),
            place: Place::new(market, dice),
        }
    }
}

impl Place {
    /// Somewhere in a market.
    pub(super) fn new(market: &Market, dice: &mut Dice) -> Self {
        let words = words(market);
        let (town, code, digits) = *dice.pick(words.towns);
        let rest: String = (0..digits).map(|_| dice.below(10).to_string()).collect();
        Self {
            street: dice
                .pick(words.streets)
                .replace("{}", &dice.between(1, 180).to_string()),
            town,
            postal_code: format!("{code}{rest}"),
        }
    }
}

fn words(market: &Market) -> &'static Words {
    // Every market has its own; a test looks.
    WORDS
        .iter()
        .find(|words| words.locale == market.locale)
        .unwrap_or(&WORDS[0])
}

#[cfg(test)]
mod tests {
    use super::{Dice, MARKETS, Person, WORDS};
    use std::collections::HashMap;

    #[test]
    fn every_market_has_words() {
        for market in MARKETS {
            let words = WORDS.iter().find(|words| words.locale == market.locale);
            let words = words.unwrap_or_else(|| panic!("no words for {}", market.locale));
            assert_eq!(words.given.len(), words.mail.len());
            assert!(words.mail.iter().all(|mail| mail.is_ascii()));
        }
    }

    #[test]
    fn customers_return_and_stay_the_same() {
        let mut dice = Dice::new(3, 1);
        let mut orders: HashMap<String, (u32, String)> = HashMap::new();
        for _ in 0..10_000 {
            let person = Person::of_order(3, 10_000, &mut dice);
            let Some(customer) = person.customer else { continue };
            let entry = orders.entry(customer).or_insert((0, person.name.clone()));
            assert_eq!(entry.1, person.name);
            entry.0 += 1;
        }
        let most = orders.values().map(|(count, _)| *count).max().unwrap();
        let once = orders.values().filter(|(count, _)| *count == 1).count();
        assert!(most >= 20, "the best customer bought {most} times");
        assert!(once > 1_000 && orders.len() > 2_000, "{once} of {}", orders.len());
    }
}
