export default function ({ data }) {
  document.documentElement.lang = data;
  document.documentElement.toggleAttribute('data-insecure', !cameraOpens());
}
