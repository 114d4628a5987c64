//! The macros of `dkhost-sdk`: `#[derive(Row)]` and `export!`. Documented there.

mod export;
mod row;

use proc_macro::TokenStream;

/// Reads and writes a struct's fields from and to columns; see `dkhost_sdk::Row`.
#[proc_macro_derive(Row, attributes(row))]
pub fn derive_row(input: TokenStream) -> TokenStream {
    row::expand(syn::parse_macro_input!(input as syn::DeriveInput))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a component of this crate that holds the plugins named.
///
/// ```text
/// dkhost_sdk::export! {
///     transformers: [Clean],
///     row_transformers: [Shout],
///     filters: [Active],
///     row_filters: [Adults],
/// }
/// ```
///
/// Every list may be left out. The component exports `transform` when there are transformers of
/// either style, and `filter` when there are filters.
#[proc_macro]
pub fn export(input: TokenStream) -> TokenStream {
    export::expand(syn::parse_macro_input!(input as export::Plugins)).into()
}
