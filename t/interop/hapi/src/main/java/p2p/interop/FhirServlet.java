/* SPDX-License-Identifier: Apache-2.0 */
/* The FHIR REST interface over the JPA storage: every R4 type, transactions, paging from the database. */
package p2p.interop;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.interceptor.api.IInterceptorService;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.JpaSystemProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.subscription.submit.interceptor.SubscriptionSubmitInterceptorLoader;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import org.springframework.context.ApplicationContext;

final class FhirServlet extends RestfulServer {
    private static final long serialVersionUID = 1L;
    private static final int PAGE_DEFAULT = 50;
    private static final int PAGE_MAXIMUM = 1000;
    private final transient ApplicationContext context;

    FhirServlet(ApplicationContext context) {
        super(context.getBean(FhirContext.class));
        this.context = context;
    }

    @Override
    protected void initialize() {
        registerProviders(context.getBean(ResourceProviderFactory.class).createProviders());
        registerProvider(context.getBean(JpaSystemProvider.class));
        setServerConformanceProvider(capabilities());
        DatabaseBackedPagingProvider paging = context.getBean(DatabaseBackedPagingProvider.class);
        paging.setDefaultPageSize(PAGE_DEFAULT);
        paging.setMaximumPageSize(PAGE_MAXIMUM);
        setPagingProvider(paging);
        setDefaultResponseEncoding(EncodingEnum.JSON);
        setInterceptorService(context.getBean(IInterceptorService.class));
        context.getBean(SubscriptionSubmitInterceptorLoader.class).start();
    }

    private JpaCapabilityStatementProvider capabilities() {
        var provider = new JpaCapabilityStatementProvider(this, context.getBean(IFhirSystemDao.class),
                context.getBean(JpaStorageSettings.class), context.getBean(ISearchParamRegistry.class),
                context.getBean(IValidationSupport.class));
        provider.setImplementationDescription("HAPI FHIR for the interoperability suite");
        return provider;
    }
}
