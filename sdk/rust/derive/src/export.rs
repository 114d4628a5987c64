//! `export!`: the component's exports, generated in the plugin's own crate.
//!
//! The bindings are generated here and not in the SDK, so that a component exports only the
//! interfaces its plugins serve. The contract's text travels inside this crate.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Result, Token, Type, bracketed};

const WIT: &str = include_str!("../../../../wit/v0.1/dkhost-plugin.wit");

/// The lists between the braces.
#[derive(Default)]
pub(crate) struct Plugins {
    transformers: Vec<TokenStream>,
    filters: Vec<TokenStream>,
    migrations: Vec<TokenStream>,
}

impl Parse for Plugins {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut plugins = Plugins::default();
        while !input.is_empty() {
            let list: Ident = input.parse()?;
            input.parse::<Token![:]>()?;
            let content;
            bracketed!(content in input);
            let types = Punctuated::<Type, Token![,]>::parse_terminated(&content)?;
            match list.to_string().as_str() {
                "transformers" => plugins
                    .transformers
                    .extend(types.iter().map(|ty| quote!(#ty))),
                "migrations" => plugins
                    .migrations
                    .extend(types.iter().map(|ty| quote!(#ty))),
                "filters" => plugins.filters.extend(types.iter().map(|ty| quote!(#ty))),
                "row_transformers" => plugins.transformers.extend(
                    types
                        .iter()
                        .map(|ty| quote!(::dkhost_sdk::ByRow<::dkhost_sdk::Transforming<#ty>>)),
                ),
                "row_filters" => plugins.filters.extend(
                    types
                        .iter()
                        .map(|ty| quote!(::dkhost_sdk::ByRow<::dkhost_sdk::Filtering<#ty>>)),
                ),
                _ => {
                    let known = "known are transformers, row_transformers, filters, row_filters, migrations";
                    return Err(Error::new(list.span(), known));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let lists = [&plugins.transformers, &plugins.filters, &plugins.migrations];
        match lists.iter().all(|list| list.is_empty()) {
            true => Err(input.error("name at least one plugin: `transformers: [MyPlugin]`")),
            false => Ok(plugins),
        }
    }
}

pub(crate) fn expand(plugins: Plugins) -> TokenStream {
    let Plugins {
        transformers,
        filters,
        migrations,
    } = plugins;
    let mut world = String::from("\nworld this-component { include base;");
    let mut guests = Vec::new();
    if !transformers.is_empty() {
        world.push_str(" export transform;");
        guests.push(transform(&transformers));
    }
    if !filters.is_empty() {
        world.push_str(" export filter;");
        guests.push(filter(&filters));
    }
    if !migrations.is_empty() {
        world.push_str(" export migration;");
        guests.push(migration(&migrations));
    }
    world.push_str(" }\n");
    let wit = format!("{WIT}{world}");
    quote! {
        // The names of a component's exports are none that a native linker takes; there the
        // plugins are checked, and can be opened by a program that compares them with themselves.
        #[doc(hidden)]
        #[cfg(not(target_arch = "wasm32"))]
        #[allow(dead_code, missing_docs)]
        pub mod __dkhost_native {
            use super::*;

            pub const TRANSFORMERS: &[::dkhost_sdk::export::OpenTransformer] =
                &[#(::dkhost_sdk::export::transformer::<#transformers>),*];
            pub const FILTERS: &[::dkhost_sdk::export::OpenFilter] =
                &[#(::dkhost_sdk::export::filter::<#filters>),*];
            pub const MIGRATIONS: &[::dkhost_sdk::export::OpenMigration] =
                &[#(::dkhost_sdk::export::migration::<#migrations>),*];
        }

        #[doc(hidden)]
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, warnings, clippy::all)]
        mod __dkhost_component {
            use super::*;

            ::dkhost_sdk::wit_bindgen::generate!({
                inline: #wit,
                path: [],
                world: "this-component",
                runtime_path: "::dkhost_sdk::wit_bindgen::rt",
                with: {
                    "dkhost:plugin/types@0.1.0": ::dkhost_sdk::wit::types,
                    "dkhost:plugin/columnar@0.1.0": ::dkhost_sdk::wit::columnar,
                    "dkhost:plugin/log@0.1.0": ::dkhost_sdk::wit::log,
                    "dkhost:plugin/counters@0.1.0": ::dkhost_sdk::wit::counters,
                    "dkhost:plugin/lookup@0.1.0": ::dkhost_sdk::wit::lookup,
                },
            });

            struct Component;

            impl exports::dkhost::plugin::plugin::Guest for Component {
                fn describe() -> ::std::vec::Vec<::dkhost_sdk::wit::types::Descriptor> {
                    ::dkhost_sdk::export::each_once(::std::vec![
                        #(::dkhost_sdk::export::describe_transformer::<#transformers>(),)*
                        #(::dkhost_sdk::export::describe_filter::<#filters>(),)*
                        #(::dkhost_sdk::export::describe_migration::<#migrations>(),)*
                    ])
                }
            }

            #(#guests)*

            export!(Component);
        }
    }
}

fn transform(plugins: &[TokenStream]) -> TokenStream {
    quote! {
        impl exports::dkhost::plugin::transform::Guest for Component {
            fn open(
                stage: ::dkhost_sdk::wit::types::Stage,
            ) -> ::core::result::Result<exports::dkhost::plugin::transform::Opened, ::dkhost_sdk::wit::types::Failure> {
                let opened = ::dkhost_sdk::export::open_transform(
                    &stage,
                    &[#(::dkhost_sdk::export::transformer::<#plugins>),*],
                )?;
                ::core::result::Result::Ok(exports::dkhost::plugin::transform::Opened {
                    output: opened.output,
                    reads: opened.reads,
                    carries: opened.carries,
                    extra: ::std::vec::Vec::new(),
                })
            }

            fn apply(
                input: ::dkhost_sdk::wit::columnar::Batch,
            ) -> ::core::result::Result<::dkhost_sdk::wit::columnar::Output, ::dkhost_sdk::wit::types::Failure> {
                ::dkhost_sdk::export::apply_transform(&input)
            }
        }
    }
}

fn filter(plugins: &[TokenStream]) -> TokenStream {
    quote! {
        impl exports::dkhost::plugin::filter::Guest for Component {
            fn open(
                stage: ::dkhost_sdk::wit::types::Stage,
            ) -> ::core::result::Result<exports::dkhost::plugin::filter::Opened, ::dkhost_sdk::wit::types::Failure> {
                let reads = ::dkhost_sdk::export::open_filter(
                    &stage,
                    &[#(::dkhost_sdk::export::filter::<#plugins>),*],
                )?;
                let extra = ::std::vec::Vec::new();
                ::core::result::Result::Ok(exports::dkhost::plugin::filter::Opened { reads, extra })
            }

            fn apply(
                input: ::dkhost_sdk::wit::columnar::Batch,
            ) -> ::core::result::Result<exports::dkhost::plugin::filter::Verdict, ::dkhost_sdk::wit::types::Failure> {
                let verdict = ::dkhost_sdk::export::apply_filter(&input)?;
                ::core::result::Result::Ok(exports::dkhost::plugin::filter::Verdict {
                    keep: verdict.keep,
                    rejects: verdict.rejects,
                })
            }
        }
    }
}

fn migration(plugins: &[TokenStream]) -> TokenStream {
    quote! {
        impl exports::dkhost::plugin::migration::Guest for Component {
            fn steps() -> ::std::vec::Vec<exports::dkhost::plugin::migration::Step> {
                let steps = [#(::dkhost_sdk::export::migration_step::<#plugins>()),*];
                steps
                    .into_iter()
                    .map(|step| exports::dkhost::plugin::migration::Step {
                        plugin: step.plugin,
                        schema: step.schema.into(),
                        from: step.from.into(),
                        to: step.to.into(),
                        reversible: step.reversible,
                        lossless: step.lossless,
                    })
                    .collect()
            }

            fn open(
                step: u32,
                direction: exports::dkhost::plugin::migration::Direction,
                stage: ::dkhost_sdk::wit::types::Stage,
            ) -> ::core::result::Result<exports::dkhost::plugin::migration::Opened, ::dkhost_sdk::wit::types::Failure> {
                let up = direction == exports::dkhost::plugin::migration::Direction::Up;
                let opened = ::dkhost_sdk::export::open_migration(
                    step,
                    up,
                    &stage,
                    &[#(::dkhost_sdk::export::migration::<#plugins>),*],
                )?;
                ::core::result::Result::Ok(exports::dkhost::plugin::migration::Opened {
                    output: opened.output,
                    reads: opened.reads,
                    carries: opened.carries,
                    extra: ::std::vec::Vec::new(),
                })
            }

            fn apply(
                input: ::dkhost_sdk::wit::columnar::Batch,
            ) -> ::core::result::Result<::dkhost_sdk::wit::columnar::Output, ::dkhost_sdk::wit::types::Failure> {
                ::dkhost_sdk::export::apply_transform(&input)
            }
        }
    }
}
