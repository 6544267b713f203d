//! What an agent asks about before it does it, and the queue in which that waits for the operator.
//!
//! An agent runs a turn as [`Approvals::policy`] says. When its worker asks, it calls [`Approvals::ask`] and waits for the [`Verdict`]; to stop waiting is to
//! withdraw the question. A frontend shows [`Approvals::waiting`], takes one with [`Approvals::take`] and answers it with
//! [`Waiting::answer`]. Whatever is not answered is declined: in time, in a full queue, or because its turn is over.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::{PrincipalId, Profile, RequestId, ThreadId, TurnId};

/// How much of what it is about is shown, in bytes.
const SHOWN: usize = 4096;

crate::id! {
    /// A question of an agent; unique also over restarts.
    ApprovalId
}

/// Who answers when an agent asks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalPolicy {
    /// Nobody: the answer is no.
    #[default]
    Decline,
    /// The agent's own reviewer. The operator is not asked.
    AutoReview,
    /// The operator.
    Ask,
}

impl ApprovalPolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Decline, Self::AutoReview, Self::Ask];

    /// The policy as it is written in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Decline => "decline",
            Self::AutoReview => "auto_review",
            Self::Ask => "ask",
        }
    }
}

/// Who answers, by what a turn may touch. A turn that may touch nothing has nothing to ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApprovalPolicies {
    /// For turns with a workspace that they can read.
    pub read: ApprovalPolicy,
    /// For turns with a workspace that they can change.
    pub work: ApprovalPolicy,
}

/// What kind of thing an agent asks about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// To run a command.
    Command,
    /// To change files.
    FileChange,
    /// To be allowed more than its profile gives.
    Permission,
}

impl ApprovalKind {
    /// The kind as a short permanent word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::FileChange => "file_change",
            Self::Permission => "permission",
        }
    }
}

/// What an agent asks.
#[derive(Clone, Debug)]
pub struct Question {
    /// The request it belongs to.
    pub request: RequestId,
    /// For whom the turn runs.
    pub principal: PrincipalId,
    /// What the turn may touch.
    pub profile: Profile,
    /// The thread it belongs to.
    pub thread: ThreadId,
    /// The turn it belongs to.
    pub turn: TurnId,
    /// To do what.
    pub kind: ApprovalKind,
    /// What exactly, for a person: the command line, the paths. A model wrote it; what is longer than 4 KiB is cut.
    pub about: String,
}

/// A question that waits.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// What is asked.
    pub question: Question,
    /// When it was asked.
    pub asked_at: SystemTime,
    /// When it will be declined.
    pub expires_at: SystemTime,
}

/// How a question ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Somebody said yes. Everything else means no.
    Approved,
    /// Somebody said no, or took it and left; or nobody is asked.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// The turn was over before.
    Withdrawn,
    /// So many questions waited that this one was not taken.
    TooMany,
}

impl Verdict {
    /// The verdict as a short permanent word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::TooMany => "too_many",
        }
    }
}

/// Who writes down what is asked, and what ends without anybody's answer. Whoever answers writes that down themselves,
/// before they do. It must not wait.
pub trait ApprovalWitness: Send + Sync {
    /// A question begins to wait, or would have.
    fn asked(&self, approval: &Approval);
    /// It ended unanswered.
    fn unanswered(&self, approval: &Approval, verdict: Verdict);
}

/// The questions that wait. Clones are of one queue.
#[derive(Clone)]
pub struct Approvals {
    queue: Arc<Mutex<VecDeque<Waiting>>>,
    witness: Arc<dyn ApprovalWitness>,
    numbers: Arc<AtomicU64>,
    rules: Arc<Mutex<Rules>>,
    most: usize,
}

/// Who answers, and how long a question waits.
#[derive(Clone, Copy, Debug)]
struct Rules {
    policies: ApprovalPolicies,
    wait: Duration,
}

/// A question that somebody has taken from the queue to answer it. Dropped, it is declined.
#[derive(Debug)]
pub struct Waiting {
    approval: Approval,
    answer: oneshot::Sender<Verdict>,
}

impl Approvals {
    /// A queue for at most `most` questions, each of which waits at most `wait`.
    pub fn new(
        policies: ApprovalPolicies,
        most: usize,
        wait: Duration,
        witness: Arc<dyn ApprovalWitness>,
    ) -> Self {
        let rules = Arc::new(Mutex::new(Rules { policies, wait }));
        Self { queue: Arc::default(), witness, numbers: Arc::default(), rules, most }
    }

    /// From now on these hold, for questions that are not asked yet.
    pub fn set(&self, policies: ApprovalPolicies, wait: Duration) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = Rules { policies, wait };
    }

    fn rules(&self) -> Rules {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who answers in turns of this profile.
    pub fn policy(&self, profile: Profile) -> ApprovalPolicy {
        match profile {
            Profile::Chat => ApprovalPolicy::Decline,
            Profile::Read => self.rules().policies.read,
            Profile::Work => self.rules().policies.work,
        }
    }

    /// Asks the operator and waits for the answer; where the policy is another, the answer is no. Dropping the future
    /// withdraws the question.
    pub async fn ask(&self, mut question: Question) -> Verdict {
        question.about.truncate(question.about.floor_char_boundary(SHOWN));
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (asked_at, wait) = (SystemTime::now(), self.rules().wait);
        let approval = Approval {
            id: ApprovalId::from(format!("ap_{}_{number}", question.turn)),
            question,
            asked_at,
            expires_at: asked_at + wait,
        };
        self.witness.asked(&approval);
        if self.policy(approval.question.profile) != ApprovalPolicy::Ask {
            self.witness.unanswered(&approval, Verdict::Declined);
            return Verdict::Declined;
        }
        let (answer, mut answered) = oneshot::channel();
        {
            let mut queue = self.lock();
            if queue.len() >= self.most {
                drop(queue);
                self.witness.unanswered(&approval, Verdict::TooMany);
                return Verdict::TooMany;
            }
            queue.push_back(Waiting { approval: approval.clone(), answer });
        }
        let _asked = Asked { approvals: self, id: approval.id.clone() };
        if let Ok(answer) = timeout(wait, &mut answered).await {
            return answer.unwrap_or(Verdict::Declined);
        }
        if self.take(approval.id.as_str()).is_some() {
            self.witness.unanswered(&approval, Verdict::Expired);
            return Verdict::Expired;
        }
        // Somebody has taken it and is about to answer: what they write down must be what happens.
        answered.await.unwrap_or(Verdict::Declined)
    }

    /// Everything that waits, oldest first.
    pub fn waiting(&self) -> Vec<Approval> {
        self.lock().iter().map(|waiting| waiting.approval.clone()).collect()
    }

    /// Takes a question, so that nobody else answers it and it does not expire meanwhile.
    pub fn take(&self, id: &str) -> Option<Waiting> {
        let mut queue = self.lock();
        let at = queue.iter().position(|waiting| waiting.approval.id.as_str() == id)?;
        queue.remove(at)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// What was asked.
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// Answers whether the agent may, and says whether it still waited: its turn may be over.
    pub fn answer(self, yes: bool) -> bool {
        self.answer.send(if yes { Verdict::Approved } else { Verdict::Declined }).is_ok()
    }
}

/// Takes its question out of the queue when nobody waits for the answer any more.
struct Asked<'a> {
    approvals: &'a Approvals,
    id: ApprovalId,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(left) = self.approvals.take(self.id.as_str()) {
            self.approvals.witness.unanswered(&left.approval, Verdict::Withdrawn);
        }
    }
}

impl fmt::Debug for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Approvals")
            .field("most", &self.most)
            .field("rules", &self.rules())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl ApprovalWitness for Seen {
        fn asked(&self, approval: &Approval) {
            self.0.lock().unwrap().push(format!("asked {}", approval.id));
        }

        fn unanswered(&self, approval: &Approval, verdict: Verdict) {
            self.0.lock().unwrap().push(format!("{} {}", verdict.word(), approval.id));
        }
    }

    fn approvals(most: usize) -> (Approvals, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let policies = ApprovalPolicies { read: ApprovalPolicy::AutoReview, work: ApprovalPolicy::Ask };
        (Approvals::new(policies, most, Duration::from_mins(1), Arc::clone(&seen) as _), seen)
    }

    fn question() -> Question {
        Question {
            request: "r".into(),
            principal: "p".into(),
            profile: Profile::Work,
            thread: "th".into(),
            turn: "tu".into(),
            kind: ApprovalKind::Command,
            about: "é".repeat(5000),
        }
    }

    #[tokio::test]
    async fn the_answer_reaches_who_asked_and_dropping_declines() {
        let (approvals, seen) = approvals(8);
        for (how, expected) in
            [(Some(true), Verdict::Approved), (Some(false), Verdict::Declined), (None, Verdict::Declined)]
        {
            let operator = async {
                let waiting = approvals.waiting();
                assert_eq!(waiting.len(), 1);
                assert_eq!(waiting[0].question.about.len(), 4096);
                let taken = approvals.take(waiting[0].id.as_str()).unwrap();
                assert!(approvals.take(waiting[0].id.as_str()).is_none(), "taken twice");
                if let Some(yes) = how {
                    assert!(taken.answer(yes));
                }
            };
            let (verdict, ()) = tokio::join!(approvals.ask(question()), operator);
            assert_eq!(verdict, expected);
        }
        assert_eq!(*seen.0.lock().unwrap(), ["asked ap_tu_0", "asked ap_tu_1", "asked ap_tu_2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_nobody_answers_is_declined_and_told() {
        let (approvals, seen) = approvals(1);
        assert_eq!(approvals.ask(question()).await, Verdict::Expired);

        let given_up = timeout(Duration::from_secs(1), approvals.ask(question())).await;
        assert!(given_up.is_err());

        let (first, second) = tokio::join!(approvals.ask(question()), approvals.ask(question()));
        assert_eq!((first, second), (Verdict::Expired, Verdict::TooMany));
        assert!(approvals.waiting().is_empty());
        assert_eq!(
            *seen.0.lock().unwrap(),
            [
                "asked ap_tu_0",
                "expired ap_tu_0",
                "asked ap_tu_1",
                "withdrawn ap_tu_1",
                "asked ap_tu_2",
                "asked ap_tu_3",
                "too_many ap_tu_3",
                "expired ap_tu_2"
            ]
        );
    }

    #[tokio::test]
    async fn where_the_operator_is_not_asked_the_answer_is_no() {
        let (approvals, seen) = approvals(8);
        for profile in [Profile::Chat, Profile::Read] {
            assert_eq!(approvals.ask(Question { profile, ..question() }).await, Verdict::Declined);
        }
        let told = ["asked ap_tu_0", "declined ap_tu_0", "asked ap_tu_1", "declined ap_tu_1"];
        assert_eq!(*seen.0.lock().unwrap(), told);
    }

    /// Who has taken a question may take the time to write the answer down.
    #[tokio::test(start_paused = true)]
    async fn a_question_that_was_taken_does_not_expire() {
        let (approvals, seen) = approvals(1);
        let operator = async {
            let taken = approvals.take(approvals.waiting()[0].id.as_str()).unwrap();
            tokio::time::sleep(Duration::from_secs(100)).await;
            assert!(taken.answer(true));
        };
        let (verdict, ()) = tokio::join!(approvals.ask(question()), operator);
        assert_eq!(verdict, Verdict::Approved);
        assert_eq!(*seen.0.lock().unwrap(), ["asked ap_tu_0"]);
    }
}
