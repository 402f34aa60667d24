// Package errors has as much of the Tencent cloud SDK as it takes to compile flanneld.
package errors

type TencentCloudSDKError struct{}

func (*TencentCloudSDKError) Error() string { return "not built in: this flanneld is for tests" }
