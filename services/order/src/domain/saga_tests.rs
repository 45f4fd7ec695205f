use super::*;

#[test]
fn every_step_but_the_last_is_followed_by_the_next() {
    for pair in Step::ALL.windows(2) {
        assert_eq!(pair[0].following(), Some(pair[1]));
        assert_eq!(pair[1].preceding(), Some(pair[0]));
        assert_eq!(
            next(pair[0], &StepResult::Done, false, false),
            Next::Run(pair[1])
        );
    }
    assert_eq!(
        next(Step::Release, &StepResult::Done, false, false),
        Next::Finished
    );
}

#[test]
fn before_the_pivot_everything_can_be_undone_and_after_it_nothing() {
    let refused = StepResult::Refused("OUT_OF_STOCK".into());
    for step in Step::ALL {
        for result in [StepResult::Done, StepResult::NotYet, refused.clone()] {
            let next = next(step, &result, true, true);
            let undone = matches!(next, Next::Undo(..));
            assert_eq!(
                undone,
                !step.is_at_or_past_pivot(),
                "{step:?} {result:?} {next:?}"
            );
        }
    }
}

#[test]
fn a_refusal_is_told_rather_than_the_cancellation_that_came_meanwhile() {
    let refused = StepResult::Refused("PAYMENT_DECLINED".into());
    assert_eq!(
        next(Step::Authorize, &refused, true, false),
        Next::Undo(
            Some(Step::AwaitHolds),
            UndoTo::Rejected,
            "PAYMENT_DECLINED".into()
        )
    );
}

#[test]
fn a_step_that_has_done_a_part_is_undone_when_the_rest_is_refused() {
    let refused = StepResult::RefusedInPart("PAYMENT_DECLINED".into());
    let rejected = |from| Next::Undo(from, UndoTo::Rejected, "PAYMENT_DECLINED".into());
    assert_eq!(
        next(Step::Authorize, &refused, true, false),
        rejected(Some(Step::Authorize))
    );
}

#[test]
fn a_saga_that_went_back_undoes_what_it_may_have_authorized_before() {
    let undone_from = |step, reservation_attempt, result: &StepResult| {
        let saga = Saga {
            step,
            reservation_attempt,
            cancel_requested: true,
            ..saga()
        };
        match saga.next(result, false) {
            Next::Undo(from, ..) => undo_from(from),
            other => panic!("{other:?}"),
        }
    };
    let refused = StepResult::Refused("OUT_OF_STOCK".into());
    assert_eq!(undone_from(Step::Reserve, 1, &refused), None);
    // The reservation ran out after the authorization, and now there is no stock.
    let authorize = Some(Step::Authorize);
    assert_eq!(undone_from(Step::Reserve, 2, &refused), authorize);
    // A hold came while the answer of the authorization was not known.
    let not_yet = StepResult::NotYet;
    assert_eq!(undone_from(Step::AwaitHolds, 1, &not_yet), authorize);
    assert_eq!(undone_from(Step::Reserve, 1, &not_yet), Some(Step::Reserve));
}

fn saga() -> Saga {
    let now = OffsetDateTime::UNIX_EPOCH;
    Saga {
        order_id: OrderId::new(uuid::Uuid::nil()),
        step: Step::Screen,
        state: SagaState::Running,
        undo_to: None,
        undo_reason: String::new(),
        attempt: 1,
        failures: 0,
        next_run_at: now,
        cancel_requested: false,
        signals: 0,
        reservation_attempt: 1,
        reservation_expires_at: None,
        reserved_at: None,
        proposal: None,
        last_error: String::new(),
        stuck_since: None,
        expires_at: now,
        traceparent: String::new(),
        started_at: now,
    }
}

#[test]
fn a_hold_that_came_meanwhile_is_waited_for() {
    assert_eq!(
        next(Step::Authorize, &StepResult::HeldUp, false, false),
        Next::Run(Step::AwaitHolds)
    );
}

#[test]
fn undoing_passes_over_what_took_nothing() {
    assert_eq!(undo_from(Some(Step::Allocate)), Some(Step::Authorize));
    assert_eq!(undo_from(Some(Step::AwaitHolds)), Some(Step::Reserve));
    assert_eq!(undo_from(Some(Step::Source)), None);
    assert_eq!(undo_from(None), None);
}

#[test]
fn a_lost_reservation_is_made_again() {
    assert_eq!(
        next(Step::Allocate, &StepResult::ReservationLost, false, false),
        Next::ReserveAgain
    );
}

#[test]
fn an_order_expires_only_while_it_waits() {
    assert!(matches!(
        next(Step::AwaitHolds, &StepResult::NotYet, false, true),
        Next::Undo(_, UndoTo::Expired, _)
    ));
    assert_eq!(
        next(Step::Allocate, &StepResult::Done, false, true),
        Next::Run(Step::Confirm)
    );
}

#[test]
fn the_database_knows_the_same_names() {
    let sql = include_str!("../../migrations/0002_saga.sql");
    let list = |names: &[&str]| format!("IN ('{}')", names.join("', '"));
    let steps: Vec<&str> = Step::ALL.map(Step::as_str).to_vec();
    let states: Vec<&str> = SagaState::ALL.map(SagaState::as_str).to_vec();
    assert!(sql.contains(&list(&steps)) && sql.contains(&list(&states)));
}

/// The table of the documentation says of every step what comes of a failure.
#[test]
fn every_step_is_tried_again_as_the_documentation_says() {
    let documentation = include_str!("../../../../docs/order-to-cash.md");
    for step in Step::ALL {
        let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
        let mut rows = documentation.lines().map(cells);
        let is_of_step =
            |row: &Vec<&str>| row.len() > 2 && row[1].trim_matches('*') == step.as_str();
        let row = rows.find(is_of_step).unwrap();
        let words = match step.retry() {
            Retry::Never => "-",
            Retry::Waits => "waits on",
            Retry::Again => "again",
            Retry::LookUp => "looked up, never sent blindly",
            Retry::AgainByDeadline => "again, by a deadline",
        };
        assert_eq!(row[row.len() - 2], words, "{step:?}");
    }
}

#[test]
fn a_step_that_asks_nobody_is_left_to_a_person_at_once_and_the_others_after_many_failures() {
    for step in Step::ALL {
        let never = step.retry() == Retry::Never;
        assert_eq!(step.retry().gives_up(1, 60), never, "{step:?}");
        assert!(step.retry().gives_up(60, 60), "{step:?}");
    }
}

#[test]
fn names_round_trip() {
    for step in Step::ALL {
        assert_eq!(Step::parse(step.as_str()), Some(step));
    }
    for state in SagaState::ALL {
        assert_eq!(SagaState::parse(state.as_str()), Some(state));
    }
    for to in [UndoTo::Rejected, UndoTo::Canceled, UndoTo::Expired] {
        assert_eq!(UndoTo::parse(to.as_str()), Some(to));
    }
}
