//! What the benchmarks share.

/// Prints the command and the machine, so that kept output says where it comes from.
pub fn heading(command: &str) {
    println!("# {command}");
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|l| l.starts_with("model name"))
        .unwrap_or("model name: ?");
    let kernel = std::fs::read_to_string("/proc/version").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "# {}; {cores} cores",
        model.split(':').nth(1).unwrap_or("?").trim()
    );
    println!("# {}", kernel.trim());
}
