//! In which order jobs' inputs are fetched.

/// The order in which jobs begin: their inputs are fetched job by job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// As the planner gave them: by task and product of the job file.
    AsGiven,
    /// The job first that is short of the fewest bytes.
    SmallestFirst,
    /// By Johnson's rule for two stages, with costs learnt during the run.
    #[default]
    Johnson,
}

impl Order {
    /// All of them.
    pub const ALL: [Order; 3] = [Order::AsGiven, Order::SmallestFirst, Order::Johnson];

    /// The name in job files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Order::AsGiven => "given",
            Order::SmallestFirst => "smallest",
            Order::Johnson => "johnson",
        }
    }

    /// From its name.
    pub fn from_name(name: &str) -> Option<Order> {
        Order::ALL.into_iter().find(|order| order.name() == name)
    }
}
