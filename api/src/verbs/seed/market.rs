//! Where the shop sells: languages, currencies, taxes, ways to pay and to ship.

/// A country that the shop sells to. Amounts are minor units of its currency.
#[derive(Debug)]
pub(super) struct Market {
    /// Of a hundred orders.
    pub(super) share: u32,
    pub(super) locale: &'static str,
    pub(super) country: &'static str,
    pub(super) currency: &'static str,
    /// On goods, in basis points.
    pub(super) tax_bp: Option<u32>,
    /// What 10 euro cents are here.
    pub(super) ten_cents: i64,
    /// Prices are multiples of this, less one where `just_below`.
    pub(super) step: i64,
    pub(super) just_below: bool,
    /// Shipping: code, name, price, days from and to.
    pub(super) methods: &'static [Method],
    pub(super) carriers: &'static [&'static str],
    /// Besides cards: type, share of a hundred payments.
    pub(super) wallets: &'static [(&'static str, u32)],
    /// Of cards.
    pub(super) brands: &'static [&'static str],
}

/// A way to ship.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) share: u32,
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) price: i64,
    /// Of the carrier, in days.
    pub(super) days: (i64, i64),
}

const fn method(share: u32, code: &'static str, name: &'static str, price: i64, days: (i64, i64)) -> Method {
    Method {
        share,
        code,
        name,
        price,
        days,
    }
}

/// Every market.
pub(super) const MARKETS: &[Market] = &[
    Market {
        share: 34,
        locale: "de-DE",
        country: "DE",
        currency: "EUR",
        tax_bp: Some(1_900),
        ten_cents: 10,
        step: 1,
        just_below: false,
        methods: &[
            method(70, "standard", "Standardversand", 490, (1, 3)),
            method(18, "pickup", "Paketshop", 390, (2, 4)),
            method(12, "express", "Express", 1_190, (1, 1)),
        ],
        carriers: &["dhl", "dpd", "hermes"],
        wallets: &[("paypal", 30), ("transfer", 10)],
        brands: &["visa", "mastercard"],
    },
    Market {
        share: 9,
        locale: "de-AT",
        country: "AT",
        currency: "EUR",
        tax_bp: Some(2_000),
        ten_cents: 10,
        step: 1,
        just_below: false,
        methods: &[
            method(80, "standard", "Standardversand", 590, (2, 4)),
            method(20, "express", "Express", 1_490, (1, 2)),
        ],
        carriers: &["post-at", "gls"],
        wallets: &[("eps", 25), ("paypal", 15)],
        brands: &["visa", "mastercard"],
    },
    Market {
        share: 14,
        locale: "fr-FR",
        country: "FR",
        currency: "EUR",
        tax_bp: Some(2_000),
        ten_cents: 10,
        step: 1,
        just_below: false,
        methods: &[
            method(60, "standard", "Livraison standard", 590, (2, 4)),
            method(28, "pickup", "Point relais", 350, (3, 5)),
            method(12, "express", "Express", 1_290, (1, 2)),
        ],
        carriers: &["colissimo", "chronopost"],
        wallets: &[("paypal", 12)],
        brands: &["visa", "mastercard", "cb"],
    },
    Market {
        share: 5,
        locale: "en-IE",
        country: "IE",
        currency: "EUR",
        tax_bp: Some(2_300),
        ten_cents: 10,
        step: 1,
        just_below: false,
        methods: &[method(100, "standard", "Standard delivery", 690, (3, 5))],
        carriers: &["an-post", "dpd"],
        wallets: &[("apple-pay", 30)],
        brands: &["visa", "mastercard"],
    },
    Market {
        share: 22,
        locale: "en-US",
        country: "US",
        currency: "USD",
        tax_bp: Some(825),
        ten_cents: 11,
        step: 100,
        just_below: true,
        methods: &[
            method(66, "ground", "Ground", 799, (3, 6)),
            method(24, "two-day", "Two-day", 1_499, (2, 2)),
            method(10, "overnight", "Overnight", 2_999, (1, 1)),
        ],
        carriers: &["ups", "usps", "fedex"],
        wallets: &[("apple-pay", 22), ("paypal", 14)],
        brands: &["visa", "mastercard", "amex", "discover"],
    },
    Market {
        share: 11,
        locale: "ja-JP",
        country: "JP",
        currency: "JPY",
        tax_bp: Some(1_000),
        ten_cents: 17,
        step: 10,
        just_below: false,
        methods: &[
            method(85, "standard", "宅配便", 880, (2, 4)),
            method(15, "express", "速達", 1_650, (1, 2)),
        ],
        carriers: &["yamato", "sagawa"],
        wallets: &[("konbini", 25)],
        brands: &["jcb", "visa"],
    },
    Market {
        share: 5,
        locale: "ar-KW",
        country: "KW",
        currency: "KWD",
        tax_bp: None,
        ten_cents: 36,
        step: 50,
        just_below: false,
        methods: &[
            method(75, "standard", "توصيل عادي", 2_000, (3, 6)),
            method(25, "express", "توصيل سريع", 4_500, (1, 3)),
        ],
        carriers: &["aramex"],
        wallets: &[("knet", 60)],
        brands: &["visa", "mastercard"],
    },
];

impl Market {
    /// A price in euro cents as this market would show it.
    pub(super) fn price(&self, euro_cents: i64) -> i64 {
        let here = euro_cents * self.ten_cents / 10;
        let rounded = (here + self.step / 2) / self.step * self.step;
        rounded.max(self.step) - i64::from(self.just_below)
    }
}

#[cfg(test)]
mod tests {
    use super::MARKETS;
    use docket_domain::{CountryCode, Currency};

    #[test]
    fn markets_are_of_this_world_and_their_shares_a_hundred() {
        assert_eq!(MARKETS.iter().map(|market| market.share).sum::<u32>(), 100);
        for market in MARKETS {
            let currency = Currency::try_new(market.currency).unwrap();
            CountryCode::try_new(market.country).unwrap();
            let methods = market.methods.iter().map(|method| method.share).sum::<u32>();
            assert_eq!(methods, 100, "{}", market.locale);
            assert!(market.wallets.iter().map(|wallet| wallet.1).sum::<u32>() < 100);
            // 19.99 EUR is between 15 and 30 main units of a euro's or a dollar's worth everywhere.
            let price = market.price(1_999);
            let range = match (currency.code(), currency.exponent()) {
                ("JPY", 0) => 2_500..4_000,
                ("KWD", 3) => 5_000..9_000,
                (_, 2) => 1_500..3_000,
                other => panic!("{other:?}"),
            };
            assert!(range.contains(&price), "{} {price}", market.locale);
        }
    }
}
