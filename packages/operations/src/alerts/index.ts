export { ALERT_RULES, AlertBook, type AlertEvent, type AlertRules, type AlertTiming, type ToldAlert } from './book.ts'
export { type AlertFacts, type DirectionFacts, type Finding, keyOf, type Subject } from './facts.ts'
export { type AlertJudgement, ALERT_LIMITS, type AlertLimits, judgeAlerts } from './judge.ts'
export { alertMessage, type AlertSender, testMessage } from './message.ts'
