//! Custom key stores: CloudHSM and external ones.

use crate::wire::limits::{
    CLUSTER_ID, Items, KEY_STORE_ID, KEY_STORE_NAME, KEY_STORE_PASSWORD, LIMIT, MARKER, TRUST_ANCHOR,
    VPC_ENDPOINT_SERVICE_NAME, VPC_ENDPOINT_SERVICE_OWNER, XKS_ACCESS_KEY_ID, XKS_KEY_ID, XKS_SECRET_ACCESS_KEY,
    XKS_URI_ENDPOINT, XKS_URI_PATH,
};
use crate::wire::structure::shapes;
use crate::{
    ConnectionErrorCodeType, ConnectionStateType, CustomKeyStoreType, SecretString, Timestamp, XksProxyConnectivityType,
};

shapes! {
    /// One custom key store of a list.
    #[derive(Clone)]
    CustomKeyStoresListEntry {
        required custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
        required custom_key_store_name: String = "CustomKeyStoreName", KEY_STORE_NAME;
        optional cloud_hsm_cluster_id: String = "CloudHsmClusterId", CLUSTER_ID;
        optional trust_anchor_certificate: String = "TrustAnchorCertificate", TRUST_ANCHOR;
        required connection_state: ConnectionStateType = "ConnectionState";
        optional connection_error_code: ConnectionErrorCodeType = "ConnectionErrorCode";
        required creation_date: Timestamp = "CreationDate";
        required custom_key_store_type: CustomKeyStoreType = "CustomKeyStoreType";
        optional xks_proxy_configuration: XksProxyConfigurationType = "XksProxyConfiguration";
    }

    /// The external key of a KMS key.
    #[derive(Clone, Default)]
    XksKeyConfigurationType {
        required id: String = "Id", XKS_KEY_ID;
    }

    /// The credential that the service signs its requests to an external key store proxy with.
    XksProxyAuthenticationCredentialType {
        /// Sensitive by the model, although `DescribeCustomKeyStores` tells it to whoever may ask.
        required access_key_id: SecretString = "AccessKeyId", XKS_ACCESS_KEY_ID;
        required raw_secret_access_key: SecretString = "RawSecretAccessKey", XKS_SECRET_ACCESS_KEY;
    }

    /// How an external key store proxy is reached.
    #[derive(Clone, Default)]
    XksProxyConfigurationType {
        optional connectivity: XksProxyConnectivityType = "Connectivity";
        optional access_key_id: String = "AccessKeyId", XKS_ACCESS_KEY_ID;
        optional uri_endpoint: String = "UriEndpoint", XKS_URI_ENDPOINT;
        optional uri_path: String = "UriPath", XKS_URI_PATH;
        optional vpc_endpoint_service_name: String = "VpcEndpointServiceName", VPC_ENDPOINT_SERVICE_NAME;
        optional vpc_endpoint_service_owner: String = "VpcEndpointServiceOwner", VPC_ENDPOINT_SERVICE_OWNER;
    }

    /// The request of `CreateCustomKeyStore`.
    #[derive(Default)]
    CreateCustomKeyStoreRequest {
        required custom_key_store_name: String = "CustomKeyStoreName", KEY_STORE_NAME;
        optional cloud_hsm_cluster_id: String = "CloudHsmClusterId", CLUSTER_ID;
        optional trust_anchor_certificate: String = "TrustAnchorCertificate", TRUST_ANCHOR;
        optional key_store_password: SecretString = "KeyStorePassword", KEY_STORE_PASSWORD;
        optional custom_key_store_type: CustomKeyStoreType = "CustomKeyStoreType";
        optional xks_proxy_uri_endpoint: String = "XksProxyUriEndpoint", XKS_URI_ENDPOINT;
        optional xks_proxy_uri_path: String = "XksProxyUriPath", XKS_URI_PATH;
        optional xks_proxy_vpc_endpoint_service_name: String = "XksProxyVpcEndpointServiceName", VPC_ENDPOINT_SERVICE_NAME;
        optional xks_proxy_vpc_endpoint_service_owner: String = "XksProxyVpcEndpointServiceOwner", VPC_ENDPOINT_SERVICE_OWNER;
        optional xks_proxy_authentication_credential: XksProxyAuthenticationCredentialType = "XksProxyAuthenticationCredential";
        optional xks_proxy_connectivity: XksProxyConnectivityType = "XksProxyConnectivity";
    }

    /// The answer of `CreateCustomKeyStore`.
    #[derive(Clone, Default)]
    CreateCustomKeyStoreResponse {
        required custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
    }

    /// The request of `DescribeCustomKeyStores`.
    #[derive(Clone, Default)]
    DescribeCustomKeyStoresRequest {
        optional custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
        optional custom_key_store_name: String = "CustomKeyStoreName", KEY_STORE_NAME;
        optional limit: u32 = "Limit", LIMIT;
        optional marker: String = "Marker", MARKER;
    }

    /// The answer of `DescribeCustomKeyStores`.
    #[derive(Clone, Default)]
    DescribeCustomKeyStoresResponse {
        required custom_key_stores: Vec<CustomKeyStoresListEntry> = "CustomKeyStores", Items::any(());
        optional next_marker: String = "NextMarker", MARKER;
        required truncated: bool = "Truncated";
    }

    /// The request of `UpdateCustomKeyStore`.
    #[derive(Default)]
    UpdateCustomKeyStoreRequest {
        required custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
        optional new_custom_key_store_name: String = "NewCustomKeyStoreName", KEY_STORE_NAME;
        optional key_store_password: SecretString = "KeyStorePassword", KEY_STORE_PASSWORD;
        optional cloud_hsm_cluster_id: String = "CloudHsmClusterId", CLUSTER_ID;
        optional xks_proxy_uri_endpoint: String = "XksProxyUriEndpoint", XKS_URI_ENDPOINT;
        optional xks_proxy_uri_path: String = "XksProxyUriPath", XKS_URI_PATH;
        optional xks_proxy_vpc_endpoint_service_name: String = "XksProxyVpcEndpointServiceName", VPC_ENDPOINT_SERVICE_NAME;
        optional xks_proxy_vpc_endpoint_service_owner: String = "XksProxyVpcEndpointServiceOwner", VPC_ENDPOINT_SERVICE_OWNER;
        optional xks_proxy_authentication_credential: XksProxyAuthenticationCredentialType = "XksProxyAuthenticationCredential";
        optional xks_proxy_connectivity: XksProxyConnectivityType = "XksProxyConnectivity";
    }

    /// The answer of `UpdateCustomKeyStore`: an empty body.
    #[derive(Clone, Default)]
    UpdateCustomKeyStoreResponse {}

    /// The request of `DeleteCustomKeyStore`.
    #[derive(Clone, Default)]
    DeleteCustomKeyStoreRequest {
        required custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
    }

    /// The answer of `DeleteCustomKeyStore`: an empty body.
    #[derive(Clone, Default)]
    DeleteCustomKeyStoreResponse {}

    /// The request of `ConnectCustomKeyStore`.
    #[derive(Clone, Default)]
    ConnectCustomKeyStoreRequest {
        required custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
    }

    /// The answer of `ConnectCustomKeyStore`: an empty body.
    #[derive(Clone, Default)]
    ConnectCustomKeyStoreResponse {}

    /// The request of `DisconnectCustomKeyStore`.
    #[derive(Clone, Default)]
    DisconnectCustomKeyStoreRequest {
        required custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
    }

    /// The answer of `DisconnectCustomKeyStore`: an empty body.
    #[derive(Clone, Default)]
    DisconnectCustomKeyStoreResponse {}
}
