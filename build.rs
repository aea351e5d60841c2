//! The migrations are embedded by a macro, which Cargo cannot see into.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
