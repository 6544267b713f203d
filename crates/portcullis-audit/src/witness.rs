//! What agents ask, and what happens to their workers, in the log.

use portcullis_agent::{Approval, ApprovalWitness, Verdict, WorkerFact, WorkerWitness};

use crate::audit::Audit;
use crate::fact::{Entry, Fact, GATEWAY};
use crate::text::Text;

impl ApprovalWitness for Audit {
    fn asked(&self, approval: &Approval) {
        let fact = Fact::ApprovalAsked {
            approval: Text::new(approval.id.as_str()),
            kind: approval.question.kind.word(),
            about: Text::masked(&approval.question.about),
        };
        self.note(entry(approval.question.principal.as_str(), approval, fact));
    }

    fn unanswered(&self, approval: &Approval, verdict: Verdict) {
        self.note(Entry::decided(GATEWAY, approval, verdict));
    }
}

impl WorkerWitness for Audit {
    fn saw(&self, fact: WorkerFact) {
        let WorkerFact::Started { worker, profile, level } = fact;
        let fact = Fact::WorkerStarted { worker: Text::new(&worker), profile, level: Text::new(&level) };
        self.note(Entry::of_gateway(fact));
    }
}

impl Entry {
    /// A question has its verdict from `who`.
    pub fn decided(who: &str, approval: &Approval, verdict: Verdict) -> Self {
        let fact =
            Fact::ApprovalDecided { approval: Text::new(approval.id.as_str()), verdict: verdict.word() };
        entry(who, approval, fact)
    }
}

fn entry(who: &str, approval: &Approval, fact: Fact) -> Entry {
    let question = &approval.question;
    let entry = Entry { request: Some(question.request.clone()), ..Entry::new(who, fact) };
    entry.within(question.thread.clone(), question.turn.clone())
}
