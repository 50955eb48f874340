// SPDX-License-Identifier: Apache-2.0
// A record as a member reads it: what there is of each kind, what each thing is called, and who sent it.

const KINDS = {
    Conditions: ['Condition'], Medications: ['MedicationRequest', 'MedicationStatement', 'MedicationDispense', 'MedicationAdministration'],
    Allergies: ['AllergyIntolerance'], Immunizations: ['Immunization'], 'Tests and measurements': ['Observation', 'DiagnosticReport'],
    Procedures: ['Procedure', 'ImagingStudy', 'ServiceRequest'], Visits: ['Encounter'], 'Plans and goals': ['CarePlan', 'Goal', 'CareTeam'],
    'Coverage and claims': ['Coverage', 'Claim', 'ClaimResponse', 'ExplanationOfBenefit'], Documents: ['DocumentReference', 'Binary', 'Consent'],
};
const QUIET = ['Patient', 'Provenance', 'Organization', 'Practitioner', 'PractitionerRole', 'Location', 'Task', 'Medication'];

const wordsOf = (concept) => concept?.text ?? concept?.coding?.find((coding) => coding.display)?.display;
const titleOf = (one) => wordsOf(one.code) ?? wordsOf(one.medicationCodeableConcept) ?? wordsOf(one.vaccineCode) ?? one.description?.text
    ?? wordsOf([one.type].flat()[0]) ?? wordsOf([one.category].flat()[0]) ?? one.resourceType;
const dateOf = (one) => String(one.onsetDateTime ?? one.effectiveDateTime ?? one.occurrenceDateTime ?? one.performedDateTime ?? one.performedPeriod?.start
    ?? one.period?.start ?? one.authoredOn ?? one.billablePeriod?.start ?? one.created ?? one.date ?? one.started ?? one.startDate ?? '').slice(0, 10);

// [{ kind, entries: [{ title, date }], newest first }], kinds with nothing left out.
export function byKind(resources) {
    const known = Object.values(KINDS).flat();
    const rest = [...new Set(resources.map((one) => one.resourceType))].filter((type) => !known.includes(type) && !QUIET.includes(type));
    return Object.entries({ ...KINDS, 'Everything else': rest }).map(([kind, types]) => ({
        kind,
        entries: resources.filter((one) => types.includes(one.resourceType)).map((one) => ({ title: titleOf(one), date: dateOf(one) }))
            .sort((a, b) => (a.date < b.date ? 1 : -1)),
    })).filter(({ entries }) => entries.length > 0);
}

// [{ from, count, received }]: what each payer sent, as the Provenance that came with it says.
export function bySender(resources) {
    const senders = new Map();
    const isTransmitter = (agent) => agent.type?.coding?.some((coding) => coding.code === 'transmitter');
    for (const one of resources.filter((resource) => resource.resourceType === 'Provenance')) {
        const who = (one.agent?.find(isTransmitter) ?? one.agent?.[0])?.who;
        const organization = resources.find((resource) => `${resource.resourceType}/${resource.id}` === who?.reference);
        const from = organization?.name ?? who?.display ?? who?.reference ?? 'an unnamed sender';
        const sender = senders.get(from) ?? { from, targets: new Set(), received: '' };
        for (const target of one.target ?? []) sender.targets.add(target.reference?.replace(/\/_history\/.*/, ''));
        if (one.recorded > sender.received) sender.received = one.recorded;
        senders.set(from, sender);
    }
    return [...senders.values()].map(({ from, targets, received }) => ({ from, count: targets.size, received }));
}

// The guide's Add Payer Task (conf/add-payer-task.json), filled in.
export function addPayerTask({ patient, organization, first, last, payer, email, phone }) {
    const system = 'http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes';
    const now = new Date().toISOString();
    const input = (code, text, display = 'display') => ({ type: { coding: [{ system, code, display }], text }, valueString: text });
    return {
        resourceType: 'Task',
        identifier: [{ system, value: `${patient}-${organization}-${now}` }],
        status: 'requested', intent: 'original-order', priority: 'routine',
        code: { coding: [{ system, code: 'p2p-request-add-provider-id', display: 'p2p-request-add-provider-id' }], text: 'Add Payer' },
        authoredOn: now, lastModified: now,
        requester: { reference: `Patient/${patient}`, type: 'Patient' },
        owner: { reference: `Organization/${organization}` },
        input: [input('requester-first-name', first), input('requester-last-name', last), input('new-payer-name', payer), input('requester-email', email),
            ...(phone ? [input('requester-phone', phone, phone)] : [])],
    };
}
