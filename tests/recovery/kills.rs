//! Killed at random moments, at random points, with random partitions, plugins and settings.

use super::faults::{Chance, kill_after};
use super::oracle::{check_end, check_meanwhile, undisturbed};
use super::points::{POINTS, is_passed_by};
use super::targets::{TARGETS, Target, target};
use super::world::{Load, World};

/// Seeds per target in the ordinary test run.
const SEEDS: u64 = 2;

/// How often one run is disturbed at random.
fn disturbances(target: &Target) -> u64 {
    if is_over_http(target) { 2 } else { 4 }
}

fn is_over_http(target: &Target) -> bool {
    target.is_index() || target.is_bucket()
}

/// What a seed moves. Few loads, because each needs its undisturbed run.
fn load(target: &Target, chance: &mut Chance) -> Load {
    if is_over_http(target) {
        return chance.one_of(over_http(target));
    }
    let loads = [
        Load {
            records: 2_000,
            partitions: 2,
            batch: 20,
            plugin: false,
            parallel: 1,
            verify: "checksum",
        },
        Load {
            records: 1_000,
            partitions: 1,
            batch: 10,
            plugin: true,
            parallel: 1,
            verify: "full",
        },
        Load {
            records: 1_500,
            partitions: 3,
            batch: 7,
            plugin: true,
            parallel: 3,
            verify: "checksum",
        },
        Load {
            records: 1_500,
            partitions: 3,
            batch: 7,
            plugin: false,
            parallel: 2,
            verify: "count",
        },
    ];
    chance.one_of(&loads)
}

/// Less of everything where each batch costs some requests. Parts of a bucket count from a thousand
/// commits on, or at the end of a partition.
fn over_http(target: &Target) -> &'static [Load] {
    const PLAIN: Load = Load {
        records: 240,
        partitions: 2,
        batch: 12,
        plugin: false,
        parallel: 1,
        verify: "checksum",
    };
    const WITH_PLUGIN: Load = Load {
        records: 180,
        partitions: 3,
        batch: 7,
        plugin: true,
        parallel: 3,
        verify: "full",
    };
    const MANY: Load = Load {
        records: 2_400,
        partitions: 2,
        batch: 1,
        plugin: false,
        parallel: 1,
        verify: "count",
    };
    match target.is_bucket() && !target.is_of_records() {
        true => &[MANY],
        false => &[PLAIN, WITH_PLUGIN],
    }
}

/// Disturbs a run up to four times and lets it go on to its end.
fn play(target: &'static Target, seed: u64) {
    let mut chance = Chance(seed.wrapping_mul(1_000_003));
    let load = load(target, &mut chance);
    let wanted = undisturbed(target, load);
    let world = World::new(target, load);
    let mut context = format!("target {}, DKHOST_SEED={seed}, {load:?}", target.name);
    let points: Vec<_> = POINTS
        .iter()
        .filter(|point| is_passed_by(point, target))
        .collect();
    if is_over_http(target) {
        // What is written is to be seen, or waits for its part, and is not committed.
        let batches = load.records / load.batch;
        let fail = format!("run.batch.written:{}:kill", 1 + chance.below(batches));
        context.push_str(&format!(", {fail}"));
        let killed = world.run_failing(&fail);
        assert_eq!(killed.code, -9, "{context}: {} {}", killed.last, killed.err);
        check_meanwhile(&world, &wanted, &context);
    }
    for _ in 0..disturbances(target) {
        if chance.below(3) == 0 {
            let point = points[chance.below(points.len())].name;
            let action = chance.one_of(&["kill", "error"]);
            let fail = format!("{point}:{}:{action}", 1 + chance.below(60));
            context.push_str(&format!(", {fail}"));
            world.run_failing(&fail);
        } else {
            let delay = wanted.took.mul_f64(chance.below(1_000) as f64 / 1_000.0);
            context.push_str(&format!(", killed after {delay:?}"));
            kill_after(&world, delay);
        }
        check_meanwhile(&world, &wanted, &context);
        if super::oracle::is_done(&world) {
            break;
        }
    }
    check_end(&world, &wanted, &context);
}

fn check(name: &str) {
    let target = target(name);
    match std::env::var("DKHOST_SEED") {
        Ok(seed) => play(target, seed.parse().expect("DKHOST_SEED is a number")),
        Err(_) => {
            // Another start for each target, so that a sample of two is not the same two.
            let first = 1 + target.name.bytes().map(u64::from).sum::<u64>();
            let few = if is_over_http(target) { 1 } else { SEEDS };
            let seeds = super::seeds().unwrap_or(few);
            (first..first + seeds).for_each(|seed| play(target, seed));
        }
    }
}

macro_rules! survives {
    ($($test:ident = $name:literal),* $(,)?) => {$(
        #[test]
        fn $test() {
            check($name);
        }
    )*
    #[test]
    fn every_target_is_killed_in_a_test() {
        let tested = [$($name),*];
        assert!(TARGETS.iter().all(|target| tested.contains(&target.name)));
    }};
}

survives!(
    a_new_table_survives = "sqlite",
    rows_beside_others_survive = "sqlite-rows",
    upserted_rows_survive = "sqlite-upsert",
    a_replaced_table_survives = "sqlite-replace",
    a_new_table_of_a_server_survives = "postgres",
    rows_beside_others_on_a_server_survive = "postgres-rows",
    upserted_rows_on_a_server_survive = "postgres-upsert",
    a_replaced_table_of_a_server_survives = "postgres-replace",
    a_table_that_replaces_none_on_a_server_survives = "postgres-replace-new",
    jsonl_survives = "jsonl",
    gzipped_jsonl_survives = "jsonl-gz",
    jsonl_in_zstd_survives = "jsonl-zst",
    json_survives = "json",
    gzipped_json_survives = "json-gz",
    csv_survives = "csv",
    csv_in_zstd_survives = "csv-zst",
    tsv_survives = "tsv",
    gzipped_tsv_survives = "tsv-gz",
    parquet_survives = "parquet",
    arrow_survives = "arrow",
    a_replaced_file_survives = "jsonl-replace",
    a_folder_of_parts_survives = "folder",
    a_folder_of_parquet_survives = "folder-parquet",
    a_folder_of_gzipped_csv_survives = "folder-csv-gz",
    a_replaced_folder_survives = "folder-replace",
    a_new_index_survives = "elasticsearch",
    documents_inserted_beside_others_survive = "elasticsearch-insert",
    upserted_documents_survive = "elasticsearch-upsert",
    a_replaced_index_survives = "elasticsearch-replace",
    upserted_documents_of_opensearch_survive = "opensearch-upsert",
    parts_in_a_bucket_survive = "s3",
    replaced_parquet_in_a_bucket_survives = "s3-parquet-replace",
    objects_beside_others_survive = "s3-records",
    upserted_objects_survive = "s3-records-upsert",
);
