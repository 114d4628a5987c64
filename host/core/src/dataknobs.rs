//! Pure conversions of the dataknobs layouts.
