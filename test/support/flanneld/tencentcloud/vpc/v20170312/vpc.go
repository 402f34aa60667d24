// Package v20170312 has as much of the Tencent cloud SDK as it takes to compile flanneld: every call of it fails.
package v20170312

import "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"

type Filter struct {
	Name   *string
	Values []*string
}

type Route struct {
	RouteId                                                 *uint64
	DestinationCidrBlock, GatewayId, GatewayType, RouteType *string
	Enabled                                                 *bool
}

type RouteTable struct {
	RouteTableId *string
	RouteSet     []*Route
}

type DescribeRouteTablesRequest struct{ Filters []*Filter }

type DescribeRouteTablesResponse struct {
	Response struct{ RouteTableSet []*RouteTable }
}

type RoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

type Client struct{}

func NewClientWithSecretId(secretID, secretKey, region string) (*Client, error) {
	return &Client{}, nil
}

func NewDescribeRouteTablesRequest() *DescribeRouteTablesRequest {
	return &DescribeRouteTablesRequest{}
}

func NewDeleteRoutesRequest() *RoutesRequest { return &RoutesRequest{} }

func NewCreateRoutesRequest() *RoutesRequest { return &RoutesRequest{} }

func (*Client) DescribeRouteTables(*DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	return nil, &errors.TencentCloudSDKError{}
}

func (*Client) DeleteRoutes(*RoutesRequest) (any, error) { return nil, &errors.TencentCloudSDKError{} }

func (*Client) CreateRoutes(*RoutesRequest) (any, error) { return nil, &errors.TencentCloudSDKError{} }
