//! `#[derive(Row)]`: one line of generated code for each field and each thing done with it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, GenericParam, LitStr, Result};

struct Column {
    ident: syn::Ident,
    ty: syn::Type,
    name: String,
    how: How,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Read,
    Edit,
    Add,
}

pub(crate) fn expand(input: DeriveInput) -> Result<TokenStream> {
    let lifetime = lifetime(&input)?;
    let columns = columns(&input)?;
    let ident = &input.ident;
    let (declared, at_static, at_a, at_any) = match &lifetime {
        Some(lifetime) => (
            quote!(<#lifetime>),
            quote!(#ident<'static>),
            quote!(#ident<'a>),
            quote!(#ident<'_>),
        ),
        None => (quote!(), quote!(#ident), quote!(#ident), quote!(#ident)),
    };
    let bind = bind(&columns, &declared);
    let read = read(&columns, ident, &at_a);
    let write = write(&columns, &at_any);
    Ok(quote! {
        #[automatically_derived]
        impl ::dkhost_sdk::Row for #at_static {
            type Of<'a> = #at_a;
            type Bound = ::std::vec::Vec<::dkhost_sdk::derived::Bound>;

            #bind
            #read
            #write

            fn writes(bound: &Self::Bound) -> ::std::vec::Vec<::dkhost_sdk::Write> {
                ::dkhost_sdk::derived::writes(bound)
            }
        }
    })
}

/// Finds every field's column; `declared` are the struct's generics, which the fields' types name.
fn bind(columns: &[Column], declared: &TokenStream) -> TokenStream {
    let binds = columns.iter().map(|Column { ty, name, how, .. }| {
        let how = match how {
            How::Read => quote!(Read),
            How::Edit => quote!(Edit),
            How::Add => quote!(Add),
        };
        quote!(::dkhost_sdk::derived::bind::<#ty>(columns, #name, ::dkhost_sdk::derived::Use::#how)?)
    });
    quote! {
        fn bind(columns: &mut dyn ::dkhost_sdk::Columns) -> ::core::result::Result<Self::Bound, ::dkhost_sdk::Failure> {
            fn all #declared (
                columns: &mut dyn ::dkhost_sdk::Columns,
            ) -> ::core::result::Result<::std::vec::Vec<::dkhost_sdk::derived::Bound>, ::dkhost_sdk::Failure> {
                ::core::result::Result::Ok(::std::vec![#(#binds),*])
            }
            all(columns)
        }
    }
}

/// Makes the struct from one row of a batch.
fn read(columns: &[Column], ident: &syn::Ident, at_a: &TokenStream) -> TokenStream {
    let fields = columns.iter().enumerate();
    let reads = fields.map(|(i, Column { ident, how, .. })| match how {
        How::Add => quote!(#ident: ::core::default::Default::default()),
        _ => quote!(#ident: ::dkhost_sdk::derived::read(&bound[#i], batch, row)?),
    });
    quote! {
        fn read<'a>(
            bound: &Self::Bound,
            batch: &::dkhost_sdk::Batch<'a>,
            row: usize,
        ) -> ::core::result::Result<#at_a, ::dkhost_sdk::Reject> {
            ::core::result::Result::Ok(#ident { #(#reads),* })
        }
    }
}

/// Appends the struct's values to the builders of the columns it writes.
fn write(columns: &[Column], at_any: &TokenStream) -> TokenStream {
    let fields = columns.iter().enumerate();
    let written = fields.filter(|(_, column)| column.how != How::Read);
    let writes = written.map(|(i, Column { ident, .. })| {
        quote!(at += ::dkhost_sdk::derived::write(&bound[#i], &row.#ident, builders, at);)
    });
    quote! {
        #[allow(unused_variables, unused_mut, unused_assignments)]
        fn write(
            bound: &Self::Bound,
            row: &#at_any,
            builders: &mut [::dkhost_sdk::AnyBuilder],
        ) -> ::core::result::Result<(), ::dkhost_sdk::Reject> {
            let mut at = 0;
            #(#writes)*
            ::core::result::Result::Ok(())
        }
    }
}

fn lifetime(input: &DeriveInput) -> Result<Option<syn::Lifetime>> {
    let mut found = None;
    for param in &input.generics.params {
        match param {
            GenericParam::Lifetime(lifetime) if found.is_none() => {
                found = Some(lifetime.lifetime.clone())
            }
            other => {
                return Err(Error::new_spanned(
                    other,
                    "a row has at most one lifetime and no other parameters",
                ));
            }
        }
    }
    Ok(found)
}

fn columns(input: &DeriveInput) -> Result<Vec<Column>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "a row is a struct with named fields",
        ));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(
            &input.ident,
            "a row is a struct with named fields",
        ));
    };
    fields.named.iter().map(column).collect()
}

fn column(field: &syn::Field) -> Result<Column> {
    let Some(ident) = field.ident.clone() else {
        return Err(Error::new_spanned(
            field,
            "a row is a struct with named fields",
        ));
    };
    let mut column = Column {
        name: ident.to_string(),
        ident,
        ty: field.ty.clone(),
        how: How::Read,
    };
    if let Some(raw) = column.name.strip_prefix("r#") {
        column.name = raw.to_owned();
    }
    for attribute in field
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("row"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("edit") {
                column.how = How::Edit;
            } else if meta.path.is_ident("add") {
                column.how = How::Add;
            } else if meta.path.is_ident("name") {
                column.name = meta.value()?.parse::<LitStr>()?.value();
            } else {
                return Err(meta.error("known are `edit`, `add` and `name = \"…\"`"));
            }
            Ok(())
        })?;
    }
    Ok(column)
}
