//! What is in a dish, and for whom it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The substances of annex II of regulation (EU) No 1169/2011, of which guests must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allergen {
    /// Of cereals: wheat, rye, barley, oats.
    Gluten,
    Crustaceans,
    Eggs,
    Fish,
    Peanuts,
    Soybeans,
    /// Lactose included.
    Milk,
    /// Of trees: almonds, hazelnuts, walnuts.
    Nuts,
    Celery,
    Mustard,
    Sesame,
    /// And sulphur dioxide, above 10 mg/kg.
    Sulphites,
    Lupin,
    Molluscs,
}

impl Allergen {
    pub const ALL: [Self; 14] = [
        Self::Gluten,
        Self::Crustaceans,
        Self::Eggs,
        Self::Fish,
        Self::Peanuts,
        Self::Soybeans,
        Self::Milk,
        Self::Nuts,
        Self::Celery,
        Self::Mustard,
        Self::Sesame,
        Self::Sulphites,
        Self::Lupin,
        Self::Molluscs,
    ];

    /// The name in `menu.yaml`, on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gluten => "gluten",
            Self::Crustaceans => "crustaceans",
            Self::Eggs => "eggs",
            Self::Fish => "fish",
            Self::Peanuts => "peanuts",
            Self::Soybeans => "soybeans",
            Self::Milk => "milk",
            Self::Nuts => "nuts",
            Self::Celery => "celery",
            Self::Mustard => "mustard",
            Self::Sesame => "sesame",
            Self::Sulphites => "sulphites",
            Self::Lupin => "lupin",
            Self::Molluscs => "molluscs",
        }
    }
}

impl fmt::Display for Allergen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// For whom a dish is, without any choice that adds to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Diet {
    Vegetarian,
    Vegan,
    GlutenFree,
    LactoseFree,
    Halal,
    Kosher,
}

impl Diet {
    pub const ALL: [Self; 6] =
        [Self::Vegetarian, Self::Vegan, Self::GlutenFree, Self::LactoseFree, Self::Halal, Self::Kosher];

    /// The name in `menu.yaml`, on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vegetarian => "vegetarian",
            Self::Vegan => "vegan",
            Self::GlutenFree => "gluten_free",
            Self::LactoseFree => "lactose_free",
            Self::Halal => "halal",
            Self::Kosher => "kosher",
        }
    }

    /// Whether no dish with this in it can be for them. Milk of which the lactose is taken out remains milk.
    pub const fn rules_out(self, allergen: Allergen) -> bool {
        use self::Allergen::{Crustaceans, Eggs, Fish, Gluten, Milk, Molluscs};
        match self {
            Self::Vegetarian => matches!(allergen, Crustaceans | Fish | Molluscs),
            Self::Vegan => matches!(allergen, Crustaceans | Fish | Molluscs | Eggs | Milk),
            Self::GlutenFree => matches!(allergen, Gluten),
            Self::Kosher => matches!(allergen, Crustaceans | Molluscs),
            Self::LactoseFree | Self::Halal => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_names_are_the_same_in_json() {
        for allergen in Allergen::ALL {
            assert_eq!(serde_json::to_value(allergen).unwrap(), allergen.as_str());
        }
        for diet in Diet::ALL {
            assert_eq!(serde_json::to_value(diet).unwrap(), diet.as_str());
        }
    }
}
