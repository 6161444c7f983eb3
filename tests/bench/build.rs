//! Says where the objects of the benchmark's programs are, which `lb-userspace`'s build script has built.

fn main() {
    let objects = std::env::var("DEP_LB_EBPF_OBJECTS").expect("lb-userspace says where it put the objects");
    println!("cargo::rustc-env=LB_BENCH_OBJECTS={objects}");
    println!("cargo::rerun-if-changed=build.rs");
}
