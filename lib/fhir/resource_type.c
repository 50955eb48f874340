/* SPDX-License-Identifier: Apache-2.0 */
/* FHIR R4's resource types that have an identifier, from the definitions of 4.0.1. */
#include "fhir/resource_type.h"

#include <stdlib.h>
#include <string.h>

/* Sorted by strcmp. */
static const char *const with_many[] = {
    "Account", "ActivityDefinition", "AllergyIntolerance", "Appointment", "AppointmentResponse", "Basic",
    "BiologicallyDerivedProduct", "BodyStructure", "CarePlan", "CareTeam", "CatalogEntry", "ChargeItem",
    "ChargeItemDefinition", "Claim", "ClaimResponse", "ClinicalImpression", "CodeSystem", "Communication",
    "CommunicationRequest", "Condition", "Consent", "Contract", "Coverage", "CoverageEligibilityRequest",
    "CoverageEligibilityResponse", "DetectedIssue", "Device", "DeviceDefinition", "DeviceMetric",
    "DeviceRequest", "DeviceUseStatement", "DiagnosticReport", "DocumentManifest", "DocumentReference",
    "EffectEvidenceSynthesis", "Encounter", "Endpoint", "EnrollmentRequest", "EnrollmentResponse",
    "EpisodeOfCare", "EventDefinition", "Evidence", "EvidenceVariable", "ExampleScenario",
    "ExplanationOfBenefit", "FamilyMemberHistory", "Flag", "Goal", "Group", "GuidanceResponse",
    "HealthcareService", "ImagingStudy", "Immunization", "ImmunizationEvaluation",
    "ImmunizationRecommendation", "InsurancePlan", "Invoice", "Library", "List", "Location", "Measure",
    "MeasureReport", "Media", "Medication", "MedicationAdministration", "MedicationDispense",
    "MedicationRequest", "MedicationStatement", "MedicinalProduct", "MedicinalProductAuthorization",
    "MedicinalProductPackaged", "MedicinalProductPharmaceutical", "MessageDefinition", "MolecularSequence",
    "NutritionOrder", "Observation", "ObservationDefinition", "Organization", "OrganizationAffiliation",
    "Patient", "PaymentNotice", "PaymentReconciliation", "Person", "PlanDefinition", "Practitioner",
    "PractitionerRole", "Procedure", "Questionnaire", "RelatedPerson", "RequestGroup", "ResearchDefinition",
    "ResearchElementDefinition", "ResearchStudy", "ResearchSubject", "RiskAssessment",
    "RiskEvidenceSynthesis", "Schedule", "ServiceRequest", "Slot", "Specimen", "StructureDefinition",
    "StructureMap", "Substance", "SupplyDelivery", "SupplyRequest", "Task", "ValueSet",
    "VisionPrescription"
};

/* Sorted by strcmp. */
static const char *const with_one[] = {
    "AdverseEvent", "Bundle", "Composition", "ConceptMap", "MedicinalProductIngredient",
    "QuestionnaireResponse", "SpecimenDefinition", "SubstanceSpecification", "TestReport", "TestScript"
};

/* Sorted by strcmp. */
static const char *const of_servers[] = {
    "CapabilityStatement", "CompartmentDefinition", "GraphDefinition", "ImplementationGuide", "MessageDefinition",
    "NamingSystem", "OperationDefinition", "SearchParameter", "StructureDefinition", "StructureMap", "Subscription",
    "TerminologyCapabilities", "TestScript"
};

static int compare(const void *type, const void *entry)
{
    return strcmp(type, *(const char *const *)entry);
}

#define LISTED(list, type) (bsearch(type, list, sizeof list / sizeof *list, sizeof *list, compare) != NULL)

p2p_identifier_kind_t p2p_identifier_kind(const char *type)
{
    if (LISTED(with_many, type)) return P2P_IDENTIFIER_MANY;
    return LISTED(with_one, type) ? P2P_IDENTIFIER_ONE : P2P_IDENTIFIER_NONE;
}

int p2p_is_server_type(const char *type)
{
    return LISTED(of_servers, type);
}
