//! What is sold: a shop for tea, the kitchen and the desk.

/// Something on sale.
#[derive(Debug)]
pub(super) struct Product {
    /// How often it is bought, beside the others.
    pub(super) weight: u32,
    pub(super) sku: &'static str,
    pub(super) name: &'static str,
    /// In euro cents; every market makes its own price of it.
    pub(super) price: i64,
    /// In grams; nothing for what needs no parcel.
    pub(super) grams: Option<u32>,
}

macro_rules! products {
    ($($weight:literal $sku:literal $name:literal $price:literal $grams:expr;)+) => {
        /// Everything on sale.
        pub(super) const PRODUCTS: &[Product] = &[$(Product {
            weight: $weight, sku: $sku, name: $name, price: $price, grams: $grams,
        },)+];
    };
}

products! {
    60 "TEA-ASM-500" "Assam, whole leaf, 500 g" 1_999 Some(540);
    55 "TEA-DAR-250" "Darjeeling, first flush, 250 g" 2_450 Some(280);
    48 "TEA-SEN-100" "Sencha, 100 g" 1_290 Some(120);
    40 "TEA-GEN-250" "Genmaicha, 250 g" 1_190 Some(280);
    36 "TEA-OOL-150" "Oolong, dark, 150 g" 1_650 Some(180);
    30 "TEA-MAT-030" "Matcha, tin of 30 g" 2_290 Some(90);
    28 "TEA-ROO-500" "Rooibos, 500 g" 990 Some(540);
    26 "TEA-MIN-200" "Mint, loose, 200 g" 790 Some(240);
    24 "TEA-EAR-250" "Earl Grey, 250 g" 1_350 Some(280);
    18 "TEA-PUE-357" "Pu-erh, pressed cake, 357 g" 3_990 Some(390);
    14 "TEA-SAM-012" "Twelve samples" 1_590 Some(260);
    26 "POT-IRO-080" "Teapot, cast iron, 0.8 l" 5_490 Some(1_900);
    22 "POT-GLA-120" "Teapot, glass, 1.2 l" 3_490 Some(820);
    20 "POT-STO-090" "Teapot, stoneware, 0.9 l" 4_290 Some(1_100);
    8 "POT-KYU-030" "Kyusu, side handle, 0.3 l" 6_900 Some(420);
    34 "CUP-STO-002" "Two cups, stoneware" 2_400 Some(620);
    30 "CUP-GLA-004" "Four cups, double glass" 3_290 Some(780);
    16 "CUP-TRA-350" "Travel cup, steel, 0.35 l" 2_790 Some(330);
    12 "KET-GOO-100" "Kettle with a goose neck, 1 l" 7_990 Some(1_450);
    10 "KET-TEM-170" "Kettle with temperatures, 1.7 l" 8_950 Some(1_800);
    20 "SIE-STE-001" "Sieve, fine, steel" 890 Some(80);
    18 "TIN-CHA-150" "Tea tin for 150 g" 1_090 Some(160);
    12 "SCA-DIG-001" "Scale, to a tenth of a gram" 2_990 Some(310);
    9 "WHI-BAM-100" "Whisk, bamboo" 1_690 Some(60);
    16 "KNI-CHE-200" "Chef's knife, 20 cm" 8_900 Some(260);
    18 "BOA-OAK-040" "Board, oak, 40 cm" 3_950 Some(1_600);
    14 "PAN-IRO-024" "Pan, wrought iron, 24 cm" 5_990 Some(1_500);
    10 "MIL-PEP-018" "Pepper mill, beech, 18 cm" 3_290 Some(340);
    12 "BOW-STO-006" "Six bowls, stoneware" 6_490 Some(2_900);
    18 "TOW-LIN-003" "Three tea towels, linen" 2_690 Some(310);
    8 "APR-LIN-001" "Apron, linen" 4_490 Some(380);
    22 "NOT-DOT-A50" "Notebook, dotted, A5" 1_490 Some(310);
    16 "NOT-LIN-A60" "Notebook, lined, A6" 990 Some(160);
    12 "PEN-FOU-00M" "Fountain pen, medium" 4_990 Some(60);
    18 "INK-BLU-050" "Ink, blue-black, 50 ml" 1_250 Some(180);
    10 "LAM-DES-001" "Desk lamp, brass" 11_900 Some(2_100);
    6 "RUG-WOO-140" "Rug, wool, 140 x 200" 24_900 Some(6_400);
    4 "CHA-ASH-001" "Chair, ash" 31_900 Some(6_900);
    3 "TAB-OAK-120" "Side table, oak" 42_900 Some(14_500);
    14 "CAN-BEE-003" "Three candles, beeswax" 1_790 Some(420);
    12 "GIF-CAR-025" "Gift card" 2_500 None;
    7 "COU-TEA-001" "Course: tea at home, video" 4_900 None;
    5 "BOO-PDF-001" "Book: a hundred infusions, PDF" 1_490 None;
}

#[cfg(test)]
mod tests {
    use super::PRODUCTS;
    use std::collections::BTreeSet;

    #[test]
    fn every_product_has_its_own_name_and_number() {
        let skus: BTreeSet<_> = PRODUCTS.iter().map(|product| product.sku).collect();
        let names: BTreeSet<_> = PRODUCTS.iter().map(|product| product.name).collect();
        assert_eq!((skus.len(), names.len()), (PRODUCTS.len(), PRODUCTS.len()));
        assert!(PRODUCTS.iter().any(|product| product.grams.is_none()));
    }
}
