//! What people tried and the hub refused stands in the audit log, as what they did.

use crate::admin::problem::Problem;
use crate::clock;
use crate::codes::ProblemCode;
use crate::db::audit;
use crate::state::Hub;

/// Writes a refusal into the audit log and hands the result on. `about` names what was tried; what
/// somebody typed is not in it, as it may be a password.
pub(crate) async fn audited<T>(
    hub: &Hub,
    actor: &str,
    action: &str,
    about: &str,
    result: Result<T, Problem>,
) -> Result<T, Problem> {
    if let Err(problem) = &result
        && !is_told_already(&problem.code)
    {
        let object = format!("{} {about}", problem.code);
        let mut tx = hub.db.begin().await?;
        audit::record(&mut tx, actor, action, object.trim_end(), clock::now_ms()).await?;
        tx.commit().await?;
    }
    result
}

/// Wrong codes and numbers are counted, and written down where that is done; faults of the hub are in
/// its log.
fn is_told_already(code: &str) -> bool {
    [
        ProblemCode::UnknownCode,
        ProblemCode::WrongNumber,
        ProblemCode::Busy,
        ProblemCode::Internal,
    ]
    .iter()
    .any(|told| told.name() == code)
}
